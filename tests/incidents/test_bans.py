"""A ban ends everything of an agent at once: what it asks, its keys, what waits for people."""

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection

from accounts.models import Membership
from accounts.rules import Refused
from agents import policy
from agents.load import find_keys, load
from agents.models import Agent, ApiKey, BannedIdentity, PolicyVersion
from agents.services import agents, identities, keys
from agents.signals import agent_banned
from approvals import containment, states
from approvals.models import Approval
from audit.clock import database_now
from audit.models import Event
from notifications.models import Announcement
from tests.factories import a_key, a_member, a_permission, an_agent, an_approval, an_organization

NAME = "spiffe://example.com/agent/support/production"


@pytest.fixture
def admin(db: None) -> Membership:
    organization = an_organization()
    return Membership.objects.get(user=a_member(organization, "admin"))


@pytest.fixture
def bot(admin: Membership) -> Agent:
    bot = an_agent(admin.organization, "support-bot", spiffe_id=NAME)
    a_permission(bot, "email.send")
    return bot


def decided(bot: Agent, callee: str | None = None) -> policy.Decision:
    loaded = load(bot.organization_id)
    return policy.decide(loaded.policy, policy.Request(str(bot.id), "email.send", {}, None, callee), database_now())


def ban(bot: Agent, by: Membership) -> Agent:
    return agents.set_status(agent=bot, by=by, status="banned", reason="stolen")


def test_a_ban_cancels_what_waits_and_revokes_the_keys_of_the_agent_alone(bot: Agent, admin: Membership) -> None:
    waiting, in_test = an_approval(agent=bot), an_approval(agent=bot, mode="test")
    other = an_approval(agent=an_agent(admin.organization))
    key, _ = a_key(admin.organization, bot)
    shared, _ = a_key(admin.organization)
    ban(bot, admin)
    for approval in (waiting, in_test):
        approval.refresh_from_db()
        assert (approval.state, approval.reason) == (states.CANCELLED, "Its agent was banned")
        assert Announcement.objects.filter(event="approval.cancelled", target=approval.approval_id).exists()
        [event] = Event.objects.filter(kind="person:approval:stop", target=approval.approval_id)
        assert event.actor == admin.user.email
    other.refresh_from_db()
    assert other.state == states.PENDING
    key.refresh_from_db()
    shared.refresh_from_db()
    assert key.is_revoked
    assert not shared.is_revoked
    assert find_keys([bytes(key.key_hash)])[bytes(key.key_hash)].revoked


def test_what_the_ban_does_commits_with_it_or_not_at_all(bot: Agent, admin: Membership) -> None:
    waiting = an_approval(agent=bot)
    key, _ = a_key(admin.organization, bot)

    def breaks(**_: object) -> None:
        raise RuntimeError("broken")

    agent_banned.connect(breaks)
    try:
        with pytest.raises(RuntimeError, match="broken"):
            ban(bot, admin)
    finally:
        agent_banned.disconnect(breaks)
    for row in (bot, waiting, key):
        row.refresh_from_db()
    assert (bot.status, waiting.state, key.is_revoked) == ("active", states.PENDING, False)


def test_a_suspension_leaves_what_waits_and_the_keys(bot: Agent, admin: Membership) -> None:
    waiting = an_approval(agent=bot)
    key, _ = a_key(admin.organization, bot)
    agents.set_status(agent=bot, by=admin, status="suspended")
    waiting.refresh_from_db()
    key.refresh_from_db()
    assert (waiting.state, key.is_revoked) == (states.PENDING, False)


def test_what_was_asked_in_the_moment_of_the_ban_is_cancelled_by_the_sweep(bot: Agent, admin: Membership) -> None:
    ban(bot, admin)
    late = an_approval(agent=bot)
    assert containment.cancel_left_over() == 1
    late.refresh_from_db()
    assert late.state == states.CANCELLED
    assert containment.cancel_left_over() == 0


def test_a_decided_request_is_not_touched(bot: Agent, admin: Membership) -> None:
    now = database_now()
    denied = an_approval(agent=bot, state=states.DENIED, decided_at=now)
    ban(bot, admin)
    denied.refresh_from_db()
    assert denied.state == states.DENIED


def test_a_banned_name_is_denied_as_caller_and_as_callee_and_makes_a_version(bot: Agent, admin: Membership) -> None:
    target = "spiffe://example.com/agent/billing/production"
    assert decided(bot, target).outcome == "allow"
    versions = PolicyVersion.objects.count()
    identities.ban_identity(organization=admin.organization, by=admin, spiffe_id=target, reason="stolen")
    assert PolicyVersion.objects.count() == versions + 1
    assert (decided(bot, target).code, decided(bot).outcome) == ("callee_banned", "allow")
    identities.ban_identity(organization=admin.organization, by=admin, spiffe_id=NAME, reason="stolen")
    bot.refresh_from_db()
    assert bot.status == "banned"
    Agent.objects.filter(pk=bot.pk).update(status="active")  # whatever the agent's status says
    assert decided(bot).code == "agent_banned"


def test_a_banned_name_cannot_be_given_to_an_agent_nor_its_agent_activated(bot: Agent, admin: Membership) -> None:
    ban_of = identities.ban_identity(organization=admin.organization, by=admin, spiffe_id=NAME, reason="stolen")
    with pytest.raises(Refused, match="Lift that ban first"):
        agents.set_status(agent=bot, by=admin, status="active")
    Agent.objects.filter(pk=bot.pk).update(spiffe_id=None)
    with pytest.raises(ValidationError, match="banned here"):
        agents.create_agent(organization=admin.organization, by=admin, name="New", spiffe_id=NAME)
    identities.lift_identity(identity=ban_of, by=admin)
    agents.create_agent(organization=admin.organization, by=admin, name="New", spiffe_id=NAME)
    kinds = set(Event.objects.values_list("kind", flat=True))
    assert {"person:identity:ban", "person:identity:lift"} <= kinds


def test_a_ban_of_one_organization_is_none_of_another(bot: Agent, admin: Membership) -> None:
    stranger = Membership.objects.get(user=a_member(an_organization(), "admin"))
    identities.ban_identity(organization=stranger.organization, by=stranger, spiffe_id=NAME, reason="stolen")
    assert decided(bot).outcome == "allow"
    bot.refresh_from_db()
    assert bot.status == "active"


def test_who_may_not_change_agents_bans_nothing(bot: Agent, admin: Membership) -> None:
    viewer = Membership.objects.get(user=a_member(admin.organization, "approver"))
    with pytest.raises(Refused):
        identities.ban_identity(organization=admin.organization, by=viewer, spiffe_id=NAME, reason="stolen")
    with pytest.raises(Refused):
        keys.revoke_keys(agent=bot, by=viewer)
    assert not BannedIdentity.objects.exists()


def test_every_change_of_the_list_moves_the_epoch(bot: Agent, admin: Membership) -> None:
    def epoch() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
            cursor.execute("SELECT set_config('warden.epoch_moved', '', true), value FROM agents_epoch")
            return int(cursor.fetchone()[1])

    before = epoch()
    row = identities.ban_identity(
        organization=admin.organization, by=admin, spiffe_id="spiffe://example.com/other", reason="x"
    )
    between = epoch()
    identities.lift_identity(identity=row, by=admin)
    assert before < between < epoch()


def test_the_commands_do_the_same(bot: Agent, admin: Membership, capsys: pytest.CaptureFixture[str]) -> None:
    of = ("--organization", admin.organization.slug)
    call_command("ban_spiffe_id", NAME, "--reason", "stolen", *of)
    call_command("list_spiffe_bans", *of)
    assert f"{NAME} is banned." in (said := capsys.readouterr().out)
    assert said.count(NAME) == 2
    call_command("lift_spiffe_ban", NAME, *of)
    assert not BannedIdentity.objects.exists()
    assert Approval.objects.count() == ApiKey.objects.count() == 0
