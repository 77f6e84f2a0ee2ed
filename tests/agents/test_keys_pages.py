"""Keys in the browser: a secret is on one page, once."""

from datetime import timedelta

import pytest
from django.urls import reverse

from accounts.secrets import hash_secret, is_well_formed
from agents.load import find_key
from agents.models import ApiKey
from agents.services.keys import create_key
from audit.clock import database_now
from audit.models import Event

TYPED = {"name": "worker", "mode": "live", "days": "90", "scopes": ["sdk"]}


def text(response) -> str:
    return response.content.decode()


def test_a_key_is_shown_once_and_nowhere_else(enter, people, bot):
    client = enter(people.admin)
    page = client.post(reverse("agents:key_new"), TYPED | {"agent": bot.pk, "environment": "staging"})
    secret = page.context["secret"]
    assert page.status_code == 200
    assert page["Cache-Control"] == "no-store"
    assert is_well_formed(secret, "ak_")
    assert text(page).count(secret) >= 3
    assert find_key(hash_secret(secret)).environment == "staging"
    for name, args in (("agents:agent_keys", [bot.slug]), ("agents:keys", []), ("agents:detail", [bot.slug])):
        assert secret not in text(client.get(reverse(name, args=args)))
    assert all(secret not in event.body for event in Event.objects.all())
    assert secret not in str(dict(client.session))


def test_a_key_may_speak_for_every_agent_and_never_expire(enter, people, bot):
    enter(people.admin).post(reverse("agents:key_new"), TYPED | {"agent": "", "days": "0"})
    key = ApiKey.objects.get()
    assert (key.agent, key.expires_at) == (None, None)


@pytest.mark.parametrize(
    "fields",
    [{"name": ""}, {"mode": "x"}, {"environment": "moon"}, {"days": "7000"}, {"scopes": []}, {"rate_limit": "0"}],
)
def test_a_mistake_makes_no_key(enter, people, bot, fields):
    page = enter(people.admin).post(reverse("agents:key_new"), TYPED | fields)
    assert page.status_code == 422
    assert not ApiKey.objects.exists()


def test_an_agent_of_another_organization_cannot_be_chosen(enter, people, bot):
    page = enter(people.stranger).post(reverse("agents:key_new"), TYPED | {"agent": bot.pk})
    assert page.status_code == 422
    assert not ApiKey.objects.exists()


def test_a_key_is_rolled_with_an_overlap(enter, people, bot, acme):
    old, secret = create_key(organization=acme, by=people.owner, mode="test", name="worker", agent=bot)
    client = enter(people.admin)
    page = client.post(reverse("agents:key_roll", args=[old.pk]), {"overlap_hours": "2"})
    assert page.status_code == 200
    assert is_well_formed(page.context["secret"], "test_")
    assert find_key(hash_secret(secret)).is_valid(database_now())
    again = client.post(reverse("agents:key_roll", args=[old.pk]), {"overlap_hours": "2"})
    assert again.status_code == 422
    assert "already" in text(again)
    assert client.post(reverse("agents:key_roll", args=[old.pk]), {"overlap_hours": "1000"}).status_code == 422


def test_a_key_is_revoked_after_a_question(enter, people, bot, acme):
    key, secret = create_key(organization=acme, by=people.owner, mode="live", name="worker", agent=bot)
    url, client = reverse("agents:key_revoke", args=[key.pk]), enter(people.admin)
    assert "for ever" in text(client.get(url))
    assert find_key(hash_secret(secret)).is_valid(database_now())
    assert client.post(url).url == reverse("agents:agent_keys", args=[bot.slug])
    assert not find_key(hash_secret(secret)).is_valid(database_now())
    page = client.get(reverse("agents:agent_keys", args=[bot.slug]))
    assert (page.context["working"], len(page.context["over"])) == ([], 1)


def test_old_keys_are_flagged_unless_they_were_rolled(enter, people, bot, acme):
    key, _ = create_key(organization=acme, by=people.owner, mode="live", name="worker", agent=bot)
    ApiKey.objects.filter(pk=key.pk).update(created_at=database_now() - timedelta(days=91))
    client, url = enter(people.viewer), reverse("agents:agent_keys", args=[bot.slug])
    assert "Over 90 days" in text(client.get(url))
    ApiKey.objects.filter(pk=key.pk).update(created_at=database_now() - timedelta(days=89))
    assert "Over 90 days" not in text(client.get(url))


def test_keys_are_listed_for_members_and_changed_by_those_who_may(enter, people, bot, acme):
    key, _ = create_key(organization=acme, by=people.owner, mode="live", name="worker", agent=bot)
    viewer = enter(people.viewer)
    assert "worker" in text(viewer.get(reverse("agents:keys")))
    for name in ("agents:key_roll", "agents:key_revoke"):
        assert viewer.get(reverse(name, args=[key.pk])).status_code == 403
        assert viewer.post(reverse(name, args=[key.pk])).status_code == 403
    stranger = enter(people.stranger)
    assert "worker" not in text(stranger.get(reverse("agents:keys")))
    for name in ("agents:key_roll", "agents:key_revoke"):
        assert stranger.get(reverse(name, args=[key.pk])).status_code == 404
        assert stranger.post(reverse(name, args=[key.pk])).status_code == 404
    assert ApiKey.objects.get().revoked_at is None
