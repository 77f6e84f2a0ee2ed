"""Budgets at the door: what is used up is denied, what came to nothing is given back, and races add up exactly."""

import itertools
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.db import connection

from accounts.by import COMMAND_LINE
from agents.models import Permission, Spending
from agents.policy import budgets
from agents.services.agents import change_agent
from agents.services.permissions import change_permission
from approvals import edits, rules, services
from approvals.models import Approval, Grant
from approvals.tasks import expire
from approvals.terms import Terms
from audit.clock import database_now
from audit.models import Event
from notifications.models import Announcement
from tests import factories
from tests.gateway.conftest import World
from tests.server import Server


def limit(world: World, action: str, **limits: Any) -> Permission:
    row = world.bot.permissions.get(action=action)
    return change_permission(permission=row, by=COMMAND_LINE, limits=limits)


def used(unit: str = "") -> Decimal:
    return sum((row.value for row in Spending.objects.filter(unit=unit)), Decimal(0))


def refund(world: World, amount: Any, **more: Any) -> dict[str, Any]:
    return world.check("stripe.refund", {"amount": amount, "order": uuid.uuid4().hex}, **more)


def test_a_budget_that_is_used_up_denies_and_says_when_it_begins_anew(world: World) -> None:
    limit(world, "email.send", count_per_day=2)
    assert "cacheable" not in world.check("email.send")
    assert world.check("email.send")["allowed"] is True
    refused = world.check("email.send")
    assert (refused["allowed"], refused["status"], refused["permission"]) == (False, "denied", "email.send")
    assert refused["reason"].startswith("Budget of 'email.send' is used up: 2 of 2 today; next at 00:00 UTC on ")
    assert world.check("email.send", key=world.test_key)["allowed"] is True  # test mode counts apart
    limit(world, "email.send", count_per_day=3)
    assert world.check("email.send")["allowed"] is True


@pytest.mark.parametrize("name", budgets.NAMES)
def test_each_limit_holds_by_itself(world: World, name: str) -> None:
    limit(world, "stripe.refund.small", **{name: 2 if name.startswith("count") else 70})
    assert [refund(world, amount)["allowed"] for amount in (30, 40)] == [True, True]
    refused = refund(world, 1)
    assert refused["reason"].startswith("Budget of 'stripe.refund.small' ")
    assert Event.objects.filter(action="stripe.refund").latest("at").data["code"] == budgets.EXCEEDED
    assert refund(world, 150)["allowed"] is True  # another tier has a budget of its own


def test_a_large_amount_split_into_small_ones_runs_into_its_total(world: World) -> None:
    limit(world, "stripe.refund.small", total_per_month=120)
    assert [refund(world, 50)["allowed"] for _ in range(3)] == [True, True, False]
    assert "has 20.00 USD left of 120.00 this month" in refund(world, "50.00")["reason"]
    assert refund(world, "20.00")["allowed"] is True
    assert used("USD") == 120


def test_a_budget_of_the_agent_counts_all_its_tiers_in_one_currency(world: World) -> None:
    change_agent(
        agent=world.bot, by=COMMAND_LINE, limits={"total_per_day": 200, "count_per_day": 4}, limit_currency="USD"
    )
    assert refund(world, 40)["allowed"] is True
    assert refund(world, 150)["allowed"] is True
    refused = refund(world, 45)
    assert "Budget of 'support-bot' has 10.00 USD left" in refused["reason"]
    assert world.check("email.send")["allowed"] is True  # no amount, no total
    assert world.check("email.send", {"amount": 5, "currency": "EUR"})["reason"].startswith(
        "Budget of 'support-bot' is in USD"
    )
    assert world.check("email.send", {"amount": "a lot"})["allowed"] is False
    assert world.check("email.send")["allowed"] is True
    assert "4 of 4" in world.check("email.send")["reason"]


def test_what_waits_counts_and_what_comes_to_nothing_is_given_back(world: World) -> None:
    limit(world, "stripe.refund.large", count_per_hour=1, total_per_hour=1000)
    first = world.pending(500)
    assert "used up: 1 of 1 this hour" in refund(world, 600)["reason"]
    assert Approval.objects.count() == Announcement.objects.filter(event="approval.requested").count() == 1
    Approval.objects.update(amount=100)  # what was reserved comes back, whatever the amount is by now
    world.decide(first["approval_id"], "deny", reason="no")
    services.give_back_due()
    assert (used(), used("USD")) == (0, 0)
    second = world.pending(500)
    world.post(f"/sdk/approvals/{second['approval_id']}/cancel", {})
    expire()
    third = world.pending(500)
    Approval.objects.filter(state="pending").update(expires_at=database_now() - timedelta(seconds=1))
    expire()
    assert world.approval(third["approval_id"]).state == "expired"
    fourth = world.pending(500)
    world.decide(fourth["approval_id"])
    assert world.post(f"/sdk/approvals/{fourth['approval_id']}/claim", {}, idempotency_key="a").status_code == 200
    expire()
    assert (used(), used("USD")) == (1, 500)
    assert "used up" in refund(world, 600)["reason"]


def kept(action: str, unit: str = "") -> Decimal:
    """What is used of the budget of a tier."""
    owner = Permission.objects.get(action=action).pk
    return sum((row.value for row in Spending.objects.filter(owner=owner, unit=unit)), Decimal(0))


@pytest.fixture
def editable(world: World) -> World:
    """Two tiers that ask by one rule, under which amounts may be lowered."""
    rule = factories.a_rule(world.acme, edits_allowed=True, edit_fields=["amount"], grants_allowed=True)
    Permission.objects.filter(action="stripe.refund.large").update(approval_rule=rule)
    Permission.objects.filter(action="stripe.refund.medium").update(effect="ask", approval_rule=rule)
    return world


def lower(world: World, approval_id: str, amount: float) -> Approval:
    row = world.approval(approval_id)
    return edits.edit(
        approval_id=row.id,
        by=world.approver,
        organization=world.acme,
        values={"amount": amount},
        reason="Less.",
        digest=row.digest,
        via="browser",
    )


def test_what_an_approver_changes_counts_on_the_tier_it_comes_to(editable: World) -> None:
    limit(editable, "stripe.refund.large", count_per_day=5, total_per_day=5000)
    limit(editable, "stripe.refund.medium", count_per_day=1, total_per_day=250)
    change_agent(agent=editable.bot, by=COMMAND_LINE, limits={"total_per_day": 1000}, limit_currency="USD")
    first, second = editable.pending(500), editable.pending(450)
    assert kept("stripe.refund.large", "USD") == 950
    lower(editable, first["approval_id"], 150)
    assert (kept("stripe.refund.large"), kept("stripe.refund.large", "USD")) == (1, 450)
    assert (kept("stripe.refund.medium"), kept("stripe.refund.medium", "USD")) == (1, 150)
    owned = Spending.objects.get(owner=editable.bot.pk)
    assert owned.value == 600  # what was lowered is free again, for the agent too
    with pytest.raises(rules.Conflict) as refused:
        lower(editable, second["approval_id"], 90)
    assert (refused.value.code, refused.value.status) == ("edit_budget", 409)
    assert refused.value.reason.startswith("Budget of 'stripe.refund.medium' is used up: 1 of 1 today")
    unchanged = editable.approval(second["approval_id"])
    assert (unchanged.amount, unchanged.asked, unchanged.edits.count()) == (450, None, 0)
    assert (kept("stripe.refund.large", "USD"), kept("stripe.refund.medium", "USD")) == (450, 150)
    editable.decide(first["approval_id"], "deny", by=editable.colleague, reason="no")
    services.give_back_due()
    assert (kept("stripe.refund.medium"), kept("stripe.refund.medium", "USD")) == (0, 0)
    lower(editable, second["approval_id"], 90)
    assert (kept("stripe.refund.large"), kept("stripe.refund.medium", "USD")) == (0, 90)


def test_what_is_lowered_keeps_its_place_in_a_budget_that_is_full_or_was_cut(editable: World) -> None:
    limit(editable, "stripe.refund.large", count_per_day=2, total_per_day=1000)
    first, _ = editable.pending(500), editable.pending(500)
    limit(editable, "stripe.refund.large", count_per_day=1, total_per_day=100)
    lower(editable, first["approval_id"], 300)
    assert (kept("stripe.refund.large"), kept("stripe.refund.large", "USD")) == (2, 800)


def test_a_change_to_what_passes_by_itself_counts_where_that_counts(editable: World) -> None:
    limit(editable, "stripe.refund.small", count_per_day=1)
    asked = editable.pending(500)
    lower(editable, asked["approval_id"], 40)
    assert kept("stripe.refund.small") == 1
    assert "used up: 1 of 1 today" in refund(editable, 30)["reason"]


def test_raced_changes_and_checks_never_exceed_a_budget(editable: World) -> None:
    limit(editable, "stripe.refund.medium", count_per_day=7)
    waiting = [editable.pending(500 + number)["approval_id"] for number in range(12)]

    def change(approval_id: str) -> str:
        try:
            lower(editable, approval_id, 150)
        except rules.Conflict as refused:
            return refused.code
        finally:
            connection.close()
        return "changed"

    with ThreadPoolExecutor(8) as pool:
        changed = [pool.submit(change, approval_id) for approval_id in waiting]
        asked = [pool.submit(refund, editable, 120) for _ in range(12)]
        told = [each.result() for each in changed] + [each.result()["status"] for each in asked]
    assert told.count("changed") + told.count("pending") == 7
    assert told.count("edit_budget") + told.count("denied") == 17
    assert kept("stripe.refund.medium") == 7
    assert Approval.objects.exclude(reserved=[]).count() == 7


def test_a_use_of_a_grant_that_a_budget_refuses_is_not_spent(editable: World) -> None:
    editable.bot.permissions.filter(action__in=["stripe.refund.small", "stripe.refund.medium"]).delete()
    limit(editable, "stripe.refund.large", total_per_day=1500)
    asked = editable.check("stripe.refund", {"amount": 500, "customer": "cus_1", "n": 0})
    row = editable.approval(asked["approval_id"])
    terms = Terms(minutes=60, uses=50, each=Decimal(500), total=Decimal(20_000), same=frozenset({"customer"}))
    services.review(
        approval_id=row.id,
        by=editable.approver,
        organization=editable.acme,
        verdict="approve",
        reason="Fine.",
        digest=row.digest,
        via="browser",
        grant=terms,
    )
    grant = Grant.objects.get()

    def use(number: int, amount: int) -> dict[str, Any]:
        return editable.check("stripe.refund", {"amount": amount, "customer": "cus_1", "n": number})

    assert use(1, 400)["grant_id"] == grant.grant_id
    refused = [use(number, 700 - number) for number in (210, 220, 230)]  # 1,390 are used then
    assert [each["allowed"] for each in refused] == [True, False, False]
    assert refused[1]["reason"].startswith("Budget of 'stripe.refund.large' has 110.00 USD left")
    assert "grant_id" not in refused[1]
    assert use(3, 100)["grant_id"] == grant.grant_id
    grant.refresh_from_db()
    assert (grant.uses, grant.used) == (3, 990)
    uses = Event.objects.filter(kind="agent:grant:use")
    assert [each.data["use"] for each in uses.order_by("at", "id")] == [1, 2, 3]
    with ThreadPoolExecutor(10) as pool:  # many at once, in few transactions: what is refused leaves no gap
        answers = list(pool.map(lambda number: use(10 + number, 5 if number % 2 else 400), range(10)))
    assert sum(each["allowed"] for each in answers) == 2
    grant.refresh_from_db()
    assert (grant.uses, grant.used) == (5, 1000)
    assert sorted(each.data["use"] for each in uses.all()) == [1, 2, 3, 4, 5]


def test_an_approval_that_is_not_taken_in_time_gives_back(world: World) -> None:
    limit(world, "stripe.refund.large", count_per_hour=1)
    asked = world.pending(500)
    world.decide(asked["approval_id"])
    Approval.objects.update(claim_until=database_now() - timedelta(seconds=1))
    expire()
    assert used() == 0


def test_a_repeated_answer_is_not_counted_again(world: World) -> None:
    limit(world, "email.send", count_per_hour=1)
    for _ in range(3):
        assert world.check("email.send", idempotency_key="one")["allowed"] is True
    assert "used up" in world.check("email.send", idempotency_key="two")["reason"]
    limit(world, "stripe.refund.large", count_per_hour=1)
    context = {"amount": 500, "order": "one"}
    answers = [world.check("stripe.refund", context) for _ in range(3)]
    assert len({each["approval_id"] for each in answers}) == 1


def test_a_total_needs_an_amount(world: World) -> None:
    row = world.bot.permissions.get(action="email.send")
    change_permission(permission=row, by=COMMAND_LINE, currency="USD", limits={"total_per_day": 10})
    assert world.check("email.send")["reason"] == "An amount is required: 'email.send' has a budget"
    assert world.check("email.send", {"amount": -1})["allowed"] is False


@pytest.fixture(scope="module")
def another(running_server: Server) -> Iterator[Server]:
    with Server() as server:
        yield server


def test_five_hundred_raced_checks_on_two_processes_never_exceed(world: World, another: Server) -> None:
    limit(world, "email.send", count_per_month=137)
    limit(world, "stripe.refund.small", total_per_month=1000)
    limit(world, "stripe.refund.large", count_per_month=20)
    change_agent(agent=world.bot, by=COMMAND_LINE, limits={"count_per_month": 260})
    numbers = itertools.count()
    asks = [("email.send", None)] * 250 + [("stripe.refund", 17)] * 150 + [("stripe.refund", 500)] * 100

    def ask(chunk: int) -> list[tuple[str, str]]:
        url = (world.server.url, another.url)[chunk % 2]
        told = []
        with httpx.Client(base_url=url, headers={"X-API-Key": world.key}, timeout=60) as client:
            for action, amount in asks[chunk::20]:
                context = {"amount": amount, "n": next(numbers)} if amount else {}
                body = {"agent_id": "support-bot", "action": action, "context": context}
                answer = client.post("/sdk/check", json=body).json()
                told.append((answer["permission"], answer["status"]))
        return told

    with ThreadPoolExecutor(20) as pool:
        told = [each for chunk in pool.map(ask, range(20)) for each in chunk]
    assert len(told) == 500
    emails = told.count(("email.send", "allowed"))
    small = told.count(("stripe.refund.small", "allowed"))
    large = told.count(("stripe.refund.large", "pending"))
    assert emails <= 137
    assert small * 17 <= 1000
    assert large == Approval.objects.count() <= 20
    assert emails + small + large <= 260
    assert emails + small + large > 150  # the budgets were what stopped them
    counted = {(str(row.owner), row.unit): row.value for row in Spending.objects.all()}
    assert counted[(str(world.bot.pk), "")] == emails + small + large
