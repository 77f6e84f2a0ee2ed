"""How many requests of an agent may wait at once: a flood would tire people into saying yes."""

import itertools
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from accounts.by import COMMAND_LINE
from agents.models import Agent, Spending
from agents.services.agents import change_agent
from agents.services.permissions import change_permission
from approvals.models import Approval
from audit.clock import database_now
from audit.models import Event
from notifications.models import Announcement
from tests.gateway.conftest import World
from tests.server import Server


def refund(world: World, **more: Any) -> dict[str, Any]:
    return world.check("stripe.refund", {"amount": 500, "order": uuid.uuid4().hex}, **more)


def cap(agent: Agent, most: int) -> None:
    change_agent(agent=agent, by=COMMAND_LINE, max_pending=most)


def test_one_more_than_may_wait_is_denied_and_leaves_nothing_behind(world: World) -> None:
    cap(world.bot, 2)
    row = world.bot.permissions.get(action="stripe.refund.large")
    change_permission(permission=row, by=COMMAND_LINE, limits={"count_per_day": 50})
    first, second = refund(world), refund(world)
    refused = refund(world)
    assert (first["status"], second["status"], refused["status"]) == ("pending", "pending", "denied")
    assert refused["allowed"] is False
    assert refused["reason"] == (
        "2 requests wait for people already, as many as 'support-bot' may have: wait until some are decided, or cancel"
        " what is not needed any more"
    )
    assert Approval.objects.count() == Announcement.objects.filter(event="approval.requested").count() == 2
    assert [row.value for row in Spending.objects.all()] == [2]  # what never waited reserved nothing
    told = Event.objects.get(kind="agent:check:deny")
    assert (told.data["code"], told.target) == ("too_many_pending", "")


def test_the_same_check_again_waits_on_and_every_ending_makes_place(world: World) -> None:
    cap(world.bot, 1)
    context = {"amount": 500, "order": "one"}
    waiting = world.check("stripe.refund", context)
    assert world.check("stripe.refund", context)["approval_id"] == waiting["approval_id"]
    assert refund(world)["status"] == "denied"
    assert refund(world, key=world.test_key)["status"] == "pending"  # test mode counts apart
    world.decide(waiting["approval_id"], "deny", reason="no")
    second = refund(world)
    assert second["status"] == "pending"
    world.post(f"/sdk/approvals/{second['approval_id']}/cancel", {})
    third = refund(world)
    assert third["status"] == "pending"
    Approval.objects.filter(state="pending", mode="live").update(expires_at=database_now() - timedelta(seconds=1))
    assert refund(world)["status"] == "pending"  # overdue: swept or not, it does not wait any more
    assert world.check("email.send")["allowed"] is True  # what asks nobody is not counted
    cap(world.bot, 2)
    assert refund(world)["status"] == "pending"  # the new number holds for the next check


@pytest.fixture(scope="module")
def another(running_server: Server) -> Iterator[Server]:
    with Server() as server:
        yield server


def test_raced_requests_on_two_processes_never_come_to_more(world: World, another: Server) -> None:
    cap(world.bot, 17)
    numbers = itertools.count()

    def ask(chunk: int) -> list[str]:
        url = (world.server.url, another.url)[chunk % 2]
        with httpx.Client(base_url=url, headers={"X-API-Key": world.key}, timeout=60) as client:
            return [
                client.post(
                    "/sdk/check",
                    json={
                        "agent_id": "support-bot",
                        "action": "stripe.refund",
                        "context": {"amount": 500, "n": next(numbers)},
                    },
                ).json()["status"]
                for _ in range(10)
            ]

    with ThreadPoolExecutor(12) as pool:
        told = [each for chunk in pool.map(ask, range(12)) for each in chunk]
    assert (len(told), told.count("pending"), told.count("denied")) == (120, 17, 103)
    assert Approval.objects.filter(state="pending").count() == 17
