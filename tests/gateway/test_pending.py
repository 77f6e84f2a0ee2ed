"""How many requests of an agent may wait at once: a flood would tire people into saying yes."""

import contextlib
import itertools
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from django.db import connection

from accounts.by import COMMAND_LINE
from accounts.models import Membership
from agents.models import Agent, Spending
from agents.services.agents import change_agent
from agents.services.permissions import change_permission
from approvals import rules, services
from approvals.glass.services import break_glass
from approvals.models import Approval, Place, PlaceChange
from audit.clock import database_now
from audit.models import Event
from notifications.models import Announcement
from tests import factories
from tests.gateway.conftest import World
from tests.server import Server, web_database_url


def refund(world: World, **more: Any) -> dict[str, Any]:
    return world.check("stripe.refund", {"amount": 500, "order": uuid.uuid4().hex}, **more)


def asked(action: str, context: dict[str, Any]) -> dict[str, Any]:
    return {"agent_id": "support-bot", "action": action, "context": context}


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


def counted(world: World, mode: str = "live") -> int:
    """What the counter says, with what was not added up yet."""
    mine = {"agent_id": world.bot.id, "mode": mode}
    rows = [*Place.objects.filter(**mine).values_list("taken", flat=True)]
    return sum(rows) + sum(PlaceChange.objects.filter(**mine).values_list("change", flat=True))


def waiting(world: World, mode: str = "live") -> int:
    return Approval.objects.filter(agent=world.bot, mode=mode, state="pending").count()


def test_the_counter_says_what_waits_however_requests_end(world: World) -> None:
    ids = [refund(world)["approval_id"] for _ in range(8)]
    refund(world, key=world.test_key)
    approved, denied, cancelled, expired, glass, gone = ids[:6]
    world.decide(approved)
    world.decide(denied, "deny", reason="no")
    world.post(f"/sdk/approvals/{cancelled}/cancel", {})
    late = Approval.objects.filter(id=world.approval(expired).id)
    late.update(expires_at=database_now() - timedelta(seconds=1))
    assert services.expire_due() == 1
    broken, owner = world.approval(glass), factories.a_member(world.acme, "owner")
    Membership.objects.filter(user=owner).update(breaks_glass=True)
    break_glass(
        approval_id=broken.id,
        by=owner,
        organization=world.acme,
        reason="It burns.",
        typed=broken.action,
        digest=broken.digest,
        assurance="stepup",
    )
    world.approval(gone).delete()
    with pytest.raises(rules.Refused):
        world.decide(approved, "deny", reason="too late")  # what has ended does not end again
    assert (counted(world), waiting(world)) == (2, 2)
    assert (counted(world, "test"), waiting(world, "test")) == (1, 1)
    refund(world)
    assert Place.objects.get(agent_id=world.bot.id, mode="live").taken == waiting(world) == 3
    assert not PlaceChange.objects.filter(agent_id=world.bot.id, mode="live").exists()  # added up, once


def test_a_process_that_dies_before_it_commits_takes_no_place(world: World) -> None:
    cap(world.bot, 1)
    first = refund(world)
    approval = world.approval(first["approval_id"])
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(web_database_url()) as dying:
        dying.execute("DELETE FROM approvals_approval WHERE id = %s", [approval.id])
        dying.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert refund(world)["status"] == "denied"
    world.decide(first["approval_id"], "deny", reason="no")
    assert refund(world)["status"] == "pending"
    assert (counted(world), waiting(world)) == (1, 1)


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
                    json=asked("stripe.refund", {"amount": 500, "n": next(numbers)}),
                ).json()["status"]
                for _ in range(10)
            ]

    with ThreadPoolExecutor(12) as pool:
        told = [each for chunk in pool.map(ask, range(12)) for each in chunk]
    assert (len(told), told.count("pending"), told.count("denied")) == (120, 17, 103)
    assert counted(world) == waiting(world) == 17


def test_places_that_people_make_meanwhile_are_taken_and_no_more(world: World, another: Server) -> None:
    """Deciding and asking at once: neither waits for the other, and the counter stays exact."""
    cap(world.bot, 5)
    most, decided, over = [], [], threading.Event()

    def decide() -> None:
        try:
            while not over.is_set():
                rows = list(Approval.objects.filter(agent=world.bot, state="pending"))
                most.append(len(rows))
                for row in rows[:2]:
                    world.decide(row.approval_id, "deny", reason="no")
                    decided.append(row.id)
        finally:
            connection.close()

    def ask(number: int) -> list[str]:
        url = (world.server.url, another.url)[number % 2]
        with httpx.Client(base_url=url, headers={"X-API-Key": world.key}, timeout=60) as client:
            return [
                client.post(
                    "/sdk/check", json=asked("stripe.refund", {"amount": 500, "order": uuid.uuid4().hex})
                ).json()["status"]
                for _ in range(15)
            ]

    with ThreadPoolExecutor(7) as pool:
        deciding = pool.submit(decide)
        told = [each for chunk in pool.map(ask, range(6)) for each in chunk]
        over.set()
        deciding.result()
    assert decided
    assert max(most) <= 5
    assert told.count("pending") == len(decided) + waiting(world)
    assert counted(world) == waiting(world) <= 5
