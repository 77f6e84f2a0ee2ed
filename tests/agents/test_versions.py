"""Policy versions: numbered, immutable copies of what decides."""

import hashlib
import threading
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import connection

from accounts.by import COMMAND_LINE
from accounts.models import Membership, Organization, User
from accounts.services import organizations
from agents.load import load
from agents.models import Agent, ApprovalRule, Permission, PolicyVersion
from agents.services import agents, permissions
from agents.services.errors import Conflict
from agents.services.facts import token
from audit.clock import database_now
from audit.models import Event


def versions(organization):
    return list(PolicyVersion.objects.filter(organization=organization).order_by("number"))


def test_a_version_is_the_hash_of_its_content(acme, people, bot, standard):
    permissions.create_permission(
        agent=bot,
        by=people.admin,
        action="stripe.refund.large",
        effect="ask",
        max_amount=Decimal("1000.50"),
        currency="USD",
        environment="staging",
        condition='context.customer != "é"',
        callee="spiffe://example.com/agent/payments",
        risk="high",
        approval_rule=standard,
        expires_at=database_now() + timedelta(days=1),
    )
    agents.create_agent(organization=acme, by=people.admin, name="Other", spiffe_id="spiffe://example.com/agent/o")
    version = versions(acme)[-1]
    assert version.version == f"pv_{hashlib.sha256(version.content.encode()).hexdigest()[:24]}"
    assert version.version == load(acme.pk).policy.version


def test_every_change_of_what_decides_makes_the_next_number_and_nothing_else_does(acme, people, bot):
    row = permissions.create_permission(agent=bot, by=people.admin, action="email.send", effect="allow")
    numbers = [version.number for version in versions(acme)]
    assert numbers == list(range(1, len(numbers) + 1))
    permissions.change_permission(permission=row, by=people.owner, notes="for tickets only")  # decides nothing
    agents.change_agent(agent=bot, by=people.owner, purpose="Answers tickets")
    assert len(versions(acme)) == len(numbers)
    permissions.change_permission(permission=row, by=people.owner, effect="ask")
    newest = versions(acme)[-1]
    assert (newest.number, newest.created_by, newest.agent) == (len(numbers) + 1, people.owner, bot)
    assert newest.summary == f"Changed on {bot.slug}: email.send needs approval"


def test_a_new_organization_begins_with_a_rule_and_a_version(people):
    made = organizations.create(name="Fresh", by=COMMAND_LINE)
    rule = ApprovalRule.objects.get(organization=made)
    assert rule.is_default
    assert [version.number for version in versions(made)] == [1]
    assert Event.objects.filter(organization_id=made.pk, kind="system:rule:create").exists()


def test_other_environments_are_a_version_too(acme, people):
    owner = Membership.objects.get(user=people.owner)
    organizations.change(organization=acme, by=owner, environments=["production", "qa"])
    organizations.change(organization=acme, by=owner, name="Acme & Co")
    assert [version.summary for version in versions(acme)] == ["Environments: production, qa"]


@pytest.fixture
def committed(transactional_db):
    """An organization that other connections see."""
    organization = Organization.objects.create(slug="raced", name="Raced")
    users = [User.objects.create_user(f"{name}@raced.example") for name in ("ann", "bob")]
    for user in users:
        Membership.objects.create(organization=organization, user=user, role="admin")
    return organization, users, agents.create_agent(organization=organization, by=users[0], name="Raced bot")


def race(*acts) -> Counter:
    """Runs the acts at once, each on a connection of its own; counts how they ended."""
    ends: Counter = Counter()
    barrier = threading.Barrier(len(acts))

    def run(act) -> None:
        try:
            barrier.wait()
            act()
            ends["done"] += 1
        except Conflict:
            ends["conflict"] += 1
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def test_of_raced_edits_of_one_tier_exactly_one_is_kept(committed):
    organization, users, agent = committed
    row = permissions.create_permission(agent=agent, by=users[0], action="stripe.refund", effect="allow")

    def edit(user, seen, amount):
        fresh = Permission.objects.get(pk=row.pk)
        permissions.change_permission(permission=fresh, by=user, expected=seen, max_amount=Decimal(amount))

    for turn in range(10):
        seen = token(Permission.objects.get(pk=row.pk))
        acts = [partial(edit, user, seen, 10 * turn + number) for number, user in enumerate(users, 1)]
        assert race(*acts) == {"done": 1, "conflict": 1}
    kinds = Event.objects.filter(organization_id=organization.pk, kind="person:permission:change").count()
    numbers = [version.number for version in versions(organization)]
    assert kinds == 10
    assert numbers == list(range(1, len(numbers) + 1))
    assert versions(organization)[-1].version == load(organization.pk).policy.version


def test_raced_changes_of_different_tiers_are_all_kept(committed):
    organization, users, agent = committed

    def add(name):
        fresh = Agent.objects.get(pk=agent.pk)
        permissions.create_permission(agent=fresh, by=users[0], action=f"email.{name}", effect="allow")

    assert race(*(partial(add, name) for name in "abcdef")) == {"done": 6}
    assert agent.permissions.count() == 6
    numbers = [version.number for version in versions(organization)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert versions(organization)[-1].version == load(organization.pk).policy.version
