"""The first start: one link, one owner, once."""

import threading
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from accounts.models import Membership, Organization, SetupLink, User
from accounts.rules import Refused
from accounts.services import setup
from accounts.signals import organization_created

FORM = {
    "organization": "Acme Corp",
    "name": "Ada",
    "email": "Ada@Example.com",
    "password": "a long way to tipperary",
    "again": "a long way to tipperary",
}


def first_run() -> str:
    out = StringIO()
    call_command("first_run", stdout=out)
    return out.getvalue().strip().rpartition("\n")[2]


def path_of(link: str) -> str:
    return link.removeprefix("http://127.0.0.1:8000")


def test_the_link_carries_the_address_people_open_and_is_kept_only_as_a_hash(db):
    link = first_run()
    assert link.startswith("http://127.0.0.1:8000/setup/")
    assert link.rsplit("/", 1)[1] not in str(SetupLink.objects.values_list())


def test_the_first_owner_sets_warden_up_and_is_logged_in(db, client, told):
    path = path_of(first_run())
    assert client.get(path).status_code == 200
    answer = client.post(path, FORM)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    member = Membership.objects.get()
    assert (member.user.email, member.user.name, member.role) == ("ada@example.com", "Ada", "owner")
    assert member.organization.name == "Acme Corp"
    assert member.organization.slug == "acme-corp"
    assert client.get("/profile/").status_code == 200
    (event,) = told("system:organization:create")
    assert event.organization_id == member.organization_id
    assert told("person:session:login")[0].data["methods"] == ["password"]


def test_a_used_link_and_a_made_up_one_say_what_to_do(db, client):
    path = path_of(first_run())
    page = client.get("/setup/made-up")
    assert page.status_code == 410
    assert "first_run" in page.content.decode()
    client.post(path, FORM)
    again = Client().get(path)
    assert again.status_code == 410
    assert "Log in" in again.content.decode()
    assert Client().post(path, FORM | {"email": "eve@example.com"}).status_code == 410
    assert User.objects.count() == 1


def test_a_newer_link_voids_the_older(db, client):
    older, newer = path_of(first_run()), path_of(first_run())
    assert client.get(older).status_code == 410
    assert client.get(newer).status_code == 200


def test_first_run_is_silent_once_there_is_an_owner(owner):
    assert first_run() == ""
    assert not SetupLink.objects.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"again": "something else entirely"}, "Type the same twice"),
        ({"password": "short", "again": "short"}, "at least 12 characters"),
        ({"password": "password1234", "again": "password1234"}, "too common"),
        ({"password": "ada@example.com", "again": "ada@example.com"}, "too similar"),
        ({"email": "nonsense"}, "valid email"),
        ({"organization": ""}, "required"),
    ],
)
def test_a_form_that_will_not_do_is_shown_again_with_what_was_typed(db, client, change, words):
    answer = client.post(path_of(first_run()), FORM | change)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert words in page
    assert 'value="Ada"' in page
    assert not User.objects.exists()


def test_what_a_listener_raises_undoes_the_set_up(db):
    def listener(**_: object) -> None:
        raise RuntimeError("no default rule")

    token = first_run().rsplit("/", 1)[1]
    organization_created.connect(listener)
    try:
        with pytest.raises(RuntimeError):
            setup.complete(token=token, email="a@example.com", name="", password="x", organization="Acme")
    finally:
        organization_created.disconnect(listener)
    assert not User.objects.exists()
    assert setup.works(token)


@pytest.mark.django_db(transaction=True)
def test_of_two_people_at_once_one_becomes_the_owner():
    token = first_run().rsplit("/", 1)[1]
    start, refused = threading.Barrier(2), []

    def complete(email: str) -> None:
        start.wait()
        try:
            setup.complete(token=token, email=email, name="", password="x", organization="Acme")
        except Refused:
            refused.append(email)
        finally:
            connection.close()

    threads = [threading.Thread(target=complete, args=[f"{name}@example.com"]) for name in ("ada", "eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert Membership.objects.filter(role="owner").count() == 1
    assert Organization.objects.count() == 1
