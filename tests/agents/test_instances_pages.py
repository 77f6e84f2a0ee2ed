"""AAP instances and provisioner tokens in the browser: a token is on one page, once."""

import pytest
from django.urls import reverse

from accounts.secrets import is_well_formed
from agents.models import ApiKey, Instance, Provisioner
from agents.services.instances import new_key, provision
from agents.services.provisioners import create_provisioner
from audit.models import Event

TYPED = {"name": "platform", "mode": "live", "days": "90", "environment": "staging"}


def text(response) -> str:
    return response.content.decode()


@pytest.fixture
def instance(people, bot) -> Instance:
    made = create_provisioner(agent=bot, by=people.owner, name="platform").provisioner
    key, secret = new_key(made, "laptop")
    return provision(
        provisioner=made, key=key, secret=secret, sealed="", creation_key="k", creation_hash=b"", receiver=None
    )


def test_a_token_is_shown_once_and_nowhere_else(enter, people, bot):
    client = enter(people.admin)
    page = client.post(reverse("agents:provisioner_new", args=[bot.slug]), TYPED)
    token = page.context["made"].token
    assert (page.status_code, page["Cache-Control"]) == (200, "no-store")
    assert is_well_formed(token, "wprv_")
    assert token in text(page)
    row = Provisioner.objects.get()
    assert (row.agent, row.environment, row.created_by) == (bot, "staging", people.admin)
    listed = text(client.get(reverse("agents:instances", args=[bot.slug])))
    assert row.shown in listed
    assert token not in listed
    assert all(token not in event.body for event in Event.objects.all())
    assert client.post(reverse("agents:provisioner_new", args=[bot.slug]), TYPED | {"mode": "x"}).status_code == 422


def test_a_token_is_revoked_and_its_instances_stay(enter, people, instance):
    client = enter(people.admin)
    address = reverse("agents:provisioner_revoke", args=[instance.provisioner_id])
    assert "go on working" in text(client.get(address))
    assert client.post(address).status_code == 302
    assert Provisioner.objects.get().revoked_at
    assert ApiKey.objects.get().revoked_at is None
    assert Event.objects.filter(kind="person:provisioner:revoke").count() == 1


def test_an_instance_is_retired_from_its_own_page_and_is_no_key_of_the_key_pages(enter, people, bot, instance):
    client = enter(people.admin)
    page = text(client.get(reverse("agents:instances", args=[bot.slug])))
    assert "laptop" in page
    for name, args in (("agents:agent_keys", [bot.slug]), ("agents:keys", [])):
        assert "laptop" not in text(client.get(reverse(name, args=args)))
    assert client.get(reverse("agents:key_revoke", args=[instance.pk])).status_code == 404
    address = reverse("agents:instance_retire", args=[instance.pk])
    assert "cancelled" in text(client.get(address))
    client.post(address)
    assert Instance.objects.get().retired_at
    assert ApiKey.objects.get().revoked_at
    assert Event.objects.get(kind="person:instance:retire").target.startswith("key_")
    assert "Retired" in text(client.get(reverse("agents:instances", args=[bot.slug])))


@pytest.mark.parametrize("role", ["approver", "viewer"])
def test_who_may_not_write_changes_nothing(enter, people, bot, instance, role):
    client = enter(getattr(people, role))
    assert client.get(reverse("agents:instances", args=[bot.slug])).status_code == 200
    for name, args in (
        ("agents:provisioner_new", [bot.slug]),
        ("agents:provisioner_revoke", [instance.provisioner_id]),
        ("agents:instance_retire", [instance.pk]),
    ):
        assert client.post(reverse(name, args=args), TYPED).status_code == 403
    assert (Provisioner.objects.get().revoked_at, Instance.objects.get().retired_at) == (None, None)


def test_a_stranger_finds_nothing(enter, people, bot, instance):
    client = enter(people.stranger)
    for name, args in (
        ("agents:instances", [bot.slug]),
        ("agents:provisioner_new", [bot.slug]),
        ("agents:provisioner_revoke", [instance.provisioner_id]),
        ("agents:instance_retire", [instance.pk]),
    ):
        address = reverse(name, args=args)
        assert (client.get(address).status_code, client.post(address, TYPED).status_code) == (404, 404)
