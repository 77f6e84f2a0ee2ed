"""Tiers: what is kept, what is refused, who is told."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Membership, Organization
from accounts.rules import Refused
from agents import policy
from agents.load import load
from agents.models import Permission, PolicyVersion
from agents.services import permissions
from agents.services.agents import create_agent
from agents.services.errors import Conflict
from agents.services.facts import token
from agents.services.rules import create_rule
from audit.clock import database_now
from audit.models import Event


def tier(agent, by, **fields):
    fields = {"action": "stripe.refund", "effect": "allow"} | fields
    return permissions.create_permission(agent=agent, by=by, **fields)


def last() -> Event:
    return Event.objects.order_by("-at").first()


def test_a_tier_decides_from_its_commit_on(acme, people, bot):
    tier(bot, people.admin, action="stripe.refund.small", max_amount=Decimal(50), currency="USD")
    answer = policy.decide(
        load(acme.pk).policy, policy.Request(bot.slug, "stripe.refund", {"amount": 50}), database_now()
    )
    assert answer.outcome == "allow"
    event = last()
    assert (event.kind, event.agent, event.action) == ("person:permission:create", bot.slug, "stripe.refund.small")
    assert event.data["after"]["max_amount"] == "50"


def test_a_change_records_before_and_after_and_who(people, bot):
    row = tier(bot, people.owner, max_amount=Decimal(50))
    changed = permissions.change_permission(permission=row, by=people.admin, max_amount=Decimal("75.50"), risk="high")
    assert changed.changed_by == people.admin
    assert last().data == {
        "before": {"max_amount": "50", "risk": "low"},
        "after": {"max_amount": "75.5", "risk": "high"},
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("action", "Refund"),
        ("action", "refund"),
        ("action", "*"),
        ("action", "a.b.c.d.e.f.g"),
        ("effect", "maybe"),
        ("max_amount", Decimal(-1)),
        ("max_amount", Decimal("NaN")),
        ("max_amount", Decimal("Infinity")),
        ("currency", "usd"),
        ("environment", "moon"),
        ("condition", "context.vip =="),
        ("condition", "1 + 1"),
        ("callee", "https://example.com"),
        ("callee", "spiffe://example.com:443/agent"),
        ("risk", "huge"),
    ],
)
def test_what_a_policy_cannot_mean_is_refused_and_leaves_nothing(people, bot, field, value):
    before = (Event.objects.count(), PolicyVersion.objects.count())
    with pytest.raises(ValidationError) as error:
        tier(bot, people.admin, **{field: value})
    assert field in error.value.message_dict
    assert (Event.objects.count(), PolicyVersion.objects.count()) == before
    assert not bot.permissions.exists()


def test_a_wrong_condition_says_where(people, bot):
    with pytest.raises(ValidationError, match=r"Line 1, column 9"):
        tier(bot, people.admin, condition="context.")


def test_a_rule_of_another_organization_is_refused(other, people, bot):
    foreign = create_rule(organization=other, by=people.stranger, name="Foreign")
    with pytest.raises(ValidationError):
        tier(bot, people.admin, effect="ask", approval_rule=foreign)


def test_only_a_tier_that_asks_keeps_a_rule(people, bot, standard):
    row = tier(bot, people.admin, effect="ask", approval_rule=standard)
    assert row.approval_rule == standard
    changed = permissions.change_permission(permission=row, by=people.admin, effect="allow")
    assert Permission.objects.get(pk=changed.pk).approval_rule is None


def test_of_two_people_who_edit_one_tier_the_second_is_told_and_nothing_is_lost(people, bot):
    row = tier(bot, people.owner, max_amount=Decimal(50))
    seen = token(Permission.objects.get(pk=row.pk))
    permissions.change_permission(permission=row, by=people.owner, expected=seen, max_amount=Decimal(60))
    with pytest.raises(Conflict):
        permissions.change_permission(permission=row, by=people.admin, expected=seen, max_amount=Decimal(5000))
    with pytest.raises(Conflict):
        permissions.delete_permission(permission=row, by=people.admin, expected=seen)
    assert Permission.objects.get(pk=row.pk).max_amount == 60


def test_a_tier_that_is_gone_cannot_be_changed(people, bot):
    row = tier(bot, people.owner)
    permissions.delete_permission(permission=row, by=people.owner)
    assert last().kind == "person:permission:delete"
    assert last().data["before"]["action"] == "stripe.refund"
    row = Permission(pk=row.pk or last().pk, agent=bot)
    with pytest.raises(Conflict):
        permissions.change_permission(permission=row, by=people.admin, notes="x")


@pytest.mark.parametrize("role", ["approver", "auditor", "viewer", "stranger"])
def test_who_may_not_configure_agents_changes_nothing(acme, people, bot, role):
    row = tier(bot, people.owner)
    who = getattr(people, role)
    count = Event.objects.count()
    for act in (
        lambda: tier(bot, who),
        lambda: permissions.change_permission(permission=row, by=who, effect="deny"),
        lambda: permissions.delete_permission(permission=row, by=who),
        lambda: create_agent(organization=acme, by=who, name="x"),
    ):
        with pytest.raises(Refused):
            act()
    assert Event.objects.count() == count


def test_an_admin_who_was_demoted_a_moment_ago_changes_nothing(acme, people, bot):
    member = Membership.objects.get(user=people.admin)
    Membership.objects.filter(pk=member.pk).update(role="viewer")
    with pytest.raises(Refused):
        tier(bot, member)


def test_each_organization_has_policy_versions_of_its_own(acme: Organization, other, people, bot):
    tier(bot, people.admin)
    assert not PolicyVersion.objects.filter(organization=other).exists()
