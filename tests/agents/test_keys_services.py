"""Keys: made, rolled, revoked, and never seen again."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from accounts.rules import Refused
from accounts.secrets import hash_secret, is_well_formed
from agents.load import find_key
from agents.models import ApiKey
from agents.services import keys
from agents.services.agents import create_agent
from audit.clock import database_now
from audit.models import Event


def make(acme, people, **fields):
    return keys.create_key(organization=acme, by=people.admin, **({"mode": "live", "name": "production"} | fields))


@pytest.mark.parametrize(("mode", "prefix"), [("live", "ak_"), ("test", "test_")])
def test_a_key_has_forty_characters_its_prefix_and_a_checksum(acme, people, bot, mode, prefix):
    key, secret = make(acme, people, mode=mode, agent=bot)
    assert len(secret) == 40
    assert is_well_formed(secret, prefix)
    assert bytes(key.key_hash) == hash_secret(secret)
    assert key.shown == f"{prefix}…{secret[-4:]}"
    assert key.created_by == people.admin


def test_the_secret_is_in_no_event_and_no_row(acme, people, bot):
    key, secret = make(acme, people, agent=bot, environment="staging", scopes=["sdk", "authz:query"], rate_limit=60)
    rolled = keys.roll_key(key=key, by=people.admin)
    keys.revoke_key(key=rolled.key, by=people.admin)
    for event in Event.objects.all():
        for hidden in (secret, rolled.secret, secret[3:-6], bytes(key.key_hash).hex()):
            assert hidden not in event.body
    assert secret not in str(list(ApiKey.objects.values()))
    kinds = Event.objects.filter(kind__startswith="person:key").order_by("at").values_list("kind", flat=True)
    assert list(kinds) == ["person:key:create", "person:key:create", "person:key:roll", "person:key:revoke"]


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "prod"},
        {"environment": "moon"},
        {"scopes": []},
        {"scopes": ["approvals:decide"]},
        {"rate_limit": 0},
        {"name": ""},
        {"expires_at": "past"},
    ],
)
def test_what_no_key_can_be_is_refused(acme, people, bot, fields):
    if fields.get("expires_at"):
        fields = {"expires_at": database_now() - timedelta(seconds=1)}
    with pytest.raises(ValidationError):
        make(acme, people, agent=bot, **fields)
    assert not ApiKey.objects.exists()


def test_a_key_of_another_organizations_agent_is_refused(other, people, bot):
    with pytest.raises(ValidationError):
        keys.create_key(organization=other, by=people.stranger, mode="live", name="x", agent=bot)


def test_a_rolled_key_is_followed_by_its_like_and_ends_after_the_overlap(acme, people, bot):
    old, secret = make(acme, people, agent=bot, environment="staging", rate_limit=60)
    new = keys.roll_key(key=old, by=people.owner, overlap_hours=2)
    old.refresh_from_db()
    assert old.rolled_to == new.key
    assert timedelta(hours=1.9) < old.expires_at - database_now() <= timedelta(hours=2)
    assert (new.key.agent, new.key.environment, new.key.rate_limit, new.key.mode) == (bot, "staging", 60, "live")
    assert new.key.expires_at is None
    assert find_key(hash_secret(secret)).is_valid(database_now())
    assert find_key(hash_secret(new.secret)).is_valid(database_now())
    with pytest.raises(Refused, match="already"):
        keys.roll_key(key=old, by=people.owner)


def test_rolling_never_lengthens_the_life_of_the_old_key_and_keeps_lifetimes(acme, people, bot):
    soon = database_now() + timedelta(hours=1)
    old, _ = make(acme, people, agent=bot, expires_at=soon)
    new = keys.roll_key(key=old, by=people.owner, overlap_hours=100)
    old.refresh_from_db()
    assert old.expires_at == soon
    assert timedelta(minutes=59) < new.key.expires_at - database_now() <= timedelta(hours=1)


def test_an_overlap_of_zero_ends_the_old_key_now(acme, people, bot):
    old, secret = make(acme, people, agent=bot)
    keys.roll_key(key=old, by=people.owner, overlap_hours=0)
    assert not find_key(hash_secret(secret)).is_valid(database_now())


@pytest.mark.parametrize("hours", [-1, 169])
def test_an_overlap_has_bounds(acme, people, bot, hours):
    old, _ = make(acme, people, agent=bot)
    with pytest.raises(ValidationError):
        keys.roll_key(key=old, by=people.owner, overlap_hours=hours)


def test_a_revoked_key_opens_nothing_and_cannot_be_rolled(acme, people, bot):
    key, secret = make(acme, people, agent=bot)
    first = keys.revoke_key(key=key, by=people.admin).revoked_at
    assert keys.revoke_key(key=key, by=people.owner).revoked_at == first
    assert not find_key(hash_secret(secret)).is_valid(database_now())
    assert Event.objects.filter(kind="person:key:revoke").count() == 1
    with pytest.raises(Refused, match="revoked"):
        keys.roll_key(key=key, by=people.admin)


def test_an_expired_key_cannot_be_rolled(acme, people, bot):
    key, _ = make(acme, people, agent=bot)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=database_now() - timedelta(seconds=1))
    with pytest.raises(Refused, match="expired"):
        keys.roll_key(key=key, by=people.admin)


def test_who_may_not_configure_agents_makes_rolls_and_revokes_no_key(acme, people, bot):
    key, _ = make(acme, people, agent=bot)
    for who in (people.viewer, people.approver, people.auditor, people.stranger):
        with pytest.raises(Refused):
            keys.create_key(organization=acme, by=who, mode="live", name="x")
        with pytest.raises(Refused):
            keys.roll_key(key=key, by=who)
        with pytest.raises(Refused):
            keys.revoke_key(key=key, by=who)
    assert ApiKey.objects.count() == 1


def test_a_key_for_all_agents_belongs_to_none(acme, people):
    create_agent(organization=acme, by=people.admin, name="One")
    key, _ = make(acme, people)
    assert key.agent is None
    assert Event.objects.get(kind="person:key:create").agent == ""
