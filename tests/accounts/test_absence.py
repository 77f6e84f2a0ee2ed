"""Absence on the account's page, in commands and in the API; and the exception for an organization of one person."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts.by import COMMAND_LINE
from accounts.models import Delegation, Membership, Organization
from accounts.services import tokens
from audit.clock import database_now
from audit.models import Event
from tests import factories

pytestmark = pytest.mark.django_db
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def acme():
    return factories.an_organization("Acme")


@pytest.fixture
def ann(acme):
    return factories.a_member(acme, "approver", "ann@example.com")


@pytest.fixture
def bob(acme):
    return factories.a_member(acme, "admin", "bob@example.com")


def enter(client, user):
    client.force_login(user, backend=BACKEND)
    return client


def in_days(days):
    return (database_now() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M")


def test_people_say_that_they_are_away_and_call_it_off(client, acme, ann, bob):
    browser = enter(client, ann)
    sent = {"ends_at": in_days(3), "delegates": [Membership.objects.get(user=bob).pk], "note": "Mountains"}
    assert browser.post(reverse("accounts:absence"), sent).status_code == 302
    page = browser.get(reverse("accounts:absence")).content.decode()
    assert "You are away" in page
    assert "bob@example.com" in page
    row = Delegation.objects.get()
    assert Event.objects.get(kind="person:delegation:create").data["to"] == ["bob@example.com"]
    assert "You may decide for" in enter(client, bob).get(reverse("accounts:absence")).content.decode()
    assert client.post(reverse("accounts:absence_end", args=[row.pk])).status_code == 404  # not bob's to call off
    enter(client, ann).post(reverse("accounts:absence_end", args=[row.pk]))
    row.refresh_from_db()
    assert row.ended_at is not None
    assert Event.objects.filter(kind="person:delegation:end").exists()


def test_what_will_not_do_is_said_in_the_form(client, acme, ann, bob):
    page = enter(client, ann).post(reverse("accounts:absence"), {"ends_at": in_days(100)})
    assert page.status_code == 422
    assert "At most 90 days" in page.content.decode()
    viewer = factories.a_member(acme, "viewer")
    assert enter(client, viewer).get(reverse("accounts:absence")).status_code == 403
    choices = enter(client, ann).get(reverse("accounts:absence")).context["form"].fields["delegates"].queryset
    assert {member.user for member in choices} == {bob}


def test_commands_do_the_same(acme, ann, bob):
    def run(*arguments):
        out = StringIO()
        call_command(*arguments, "--organization", acme.slug, "--json", stdout=out)
        return json.loads(out.getvalue())

    made = run("set_absence", "ann@example.com", "--until", in_days(2), "--delegate", "bob@example.com")
    assert run("list_absences") == [made]
    assert made["delegates"] == ["bob@example.com"]
    assert run("end_absence", "ann@example.com") == [made]
    assert run("list_absences") == []


def test_scripts_do_the_same_with_a_token(client, acme, ann, bob):
    member = Membership.objects.get(user=ann)
    _, raw = tokens.create(
        member=member, name="x", scopes=["approvals:read", "approvals:decide"], days=None, by=COMMAND_LINE
    )
    headers = {"Authorization": f"Bearer {raw}"}
    until = (database_now() + timedelta(days=1)).isoformat()
    body = {"ends_at": until, "delegates": ["bob@example.com"]}
    made = client.post("/api/absences", json.dumps(body), "application/json", headers=headers)
    assert made.status_code == 201, made.content
    listed = client.get("/api/absences", headers=headers).json()
    assert [each["email"] for each in listed] == ["ann@example.com"]
    assert client.delete(f"/api/absences/{listed[0]['id']}", headers=headers).status_code == 204
    assert client.get("/api/absences", headers=headers).json() == []


def test_an_owner_gives_up_that_two_people_are_needed_and_every_page_says_so(client, acme):
    owner = factories.a_member(acme, "owner")
    browser, address = enter(client, owner), reverse("accounts:single")
    assert browser.post(address, {"typed": "acme"}).status_code == 422
    assert not Organization.objects.exclude(single_operator_since=None).exists()
    assert browser.post(address, {"typed": acme.slug}).status_code == 302
    acme.refresh_from_db()
    assert acme.single_operator_by == owner.email
    assert Event.objects.filter(kind="person:organization:single").count() == 1
    for page in ("/inbox/", reverse("agents:rules"), reverse("accounts:profile")):
        assert "One person is enough in Acme" in browser.get(page).content.decode()
    browser.post(reverse("accounts:single_end"))
    assert "One person is enough in" not in browser.get("/inbox/").content.decode()
    assert Event.objects.filter(kind="person:organization:several").count() == 1


def test_nobody_but_an_owner_gives_it_up(client, acme, ann, bob):
    for user in (ann, bob):
        assert enter(client, user).post(reverse("accounts:single"), {"typed": acme.slug}).status_code == 403
    with pytest.raises(CommandError, match="Type"):
        call_command("single_operator", "on", "--organization", acme.slug)
    call_command("single_operator", "on", "--confirm", acme.slug, "--organization", acme.slug, stdout=StringIO())
    acme.refresh_from_db()
    assert acme.single_operator_since is not None
    call_command("single_operator", "off", "--organization", acme.slug, stdout=StringIO())
    acme.refresh_from_db()
    assert acme.single_operator_since is None
