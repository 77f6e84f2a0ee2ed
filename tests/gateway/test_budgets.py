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

from accounts.by import COMMAND_LINE
from agents.models import Permission, Spending
from agents.services.agents import change_agent
from agents.services.permissions import change_permission
from approvals import services
from approvals.models import Approval
from approvals.tasks import expire
from audit.clock import database_now
from notifications.models import Announcement
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
    Approval.objects.update(amount=100)  # as if an approver had lowered it: what was reserved comes back
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
    kept = {(str(row.owner), row.unit): row.value for row in Spending.objects.all()}
    assert kept[(str(world.bot.pk), "")] == emails + small + large
