"""The kill switch at the door: denied at once, on every process, and whoever waits is told."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from django.db import connections

from accounts.by import COMMAND_LINE
from agents.models import Stop
from approvals.models import Approval
from approvals.stops import services
from audit.clock import database_now
from tests import factories
from tests.gateway.conftest import World, make_key
from tests.server import Server


def stop(world: World, **what: object) -> Stop:
    return services.stop(organization=world.acme, by=COMMAND_LINE, reason="odd refunds", **what)  # type: ignore[arg-type]


def release(row: Stop) -> Stop:
    services.ask(stop=row, by=COMMAND_LINE, reason="found it")
    return services.release(stop=row, by=COMMAND_LINE, typed=row.confirmation)


def test_checks_and_claims_of_what_is_stopped_are_denied_and_others_go_on(world: World) -> None:
    asked, other = world.pending(), world.check("deploy.production")
    world.decide(asked["approval_id"])
    row = stop(world, pattern="stripe.*")
    refused = world.check("stripe.refund", {"amount": 20})
    assert (refused["allowed"], refused["reason"]) == (False, "Actions 'stripe.*' are paused")
    assert "cacheable" not in refused
    claim = world.post(f"/sdk/approvals/{asked['approval_id']}/claim", {}, idempotency_key="one")
    assert (claim.status_code, claim.json()["code"]) == (409, "paused")
    assert world.check("email.send")["allowed"] is True
    world.decide(other["approval_id"])
    assert world.post(f"/sdk/approvals/{other['approval_id']}/claim", {}, idempotency_key="two").status_code == 200
    release(row)
    assert world.post(f"/sdk/approvals/{asked['approval_id']}/claim", {}, idempotency_key="one").status_code == 200
    assert world.check("stripe.refund", {"amount": 20})["allowed"] is True


def test_a_stop_of_one_agent_holds_all_it_does_and_no_other(world: World) -> None:
    other = factories.an_agent(world.acme, "other-bot")
    factories.a_permission(other, "email.send")
    services.stop(organization=world.acme, by=COMMAND_LINE, reason="odd", agent=world.bot)
    assert world.check("email.send")["reason"] == "Agent is paused"
    assert world.check("stripe.refund", {"amount": 20})["reason"] == "Agent is paused"
    body = {"agent_id": "other-bot", "action": "email.send"}
    assert world.post("/sdk/check", body, make_key(world.acme, agent=other)).json()["allowed"] is True


def test_an_agent_that_is_stopped_may_still_give_up(world: World) -> None:
    asked = world.pending()
    stop(world, agent=world.bot)
    Approval.objects.update(expires_at=database_now() - timedelta(hours=1))
    assert world.post(f"/sdk/approvals/{asked['approval_id']}/cancel", {}).json()["status"] == "cancelled"


def test_a_wait_ends_once_when_the_stop_begins_and_once_when_it_is_over(world: World) -> None:
    asked = world.pending()
    path = f"/sdk/approvals/{asked['approval_id']}"
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(world.get, f"{path}?wait=20s")
        time.sleep(0.5)
        row = stop(world)
        told = waiting.result(timeout=5).json()
        row.refresh_from_db()
        assert (told["status"], bool(told["paused_at"])) == ("pending", True)
        Approval.objects.update(expires_at=database_now() - timedelta(hours=1))
        started = time.monotonic()
        assert world.get(f"{path}?wait=1s").json()["status"] == "pending"
        assert time.monotonic() - started > 0.9  # nobody asks in a loop
        waiting = pool.submit(world.get, f"{path}?wait=20s")
        time.sleep(0.5)
        Approval.objects.update(expires_at=database_now() + timedelta(hours=1))
        release(row)
        told = waiting.result(timeout=5).json()
    assert told["status"] == "pending"
    assert "paused_at" not in told
    assert told["expires_at"] > asked["expires_at"]


def test_a_stream_says_paused_and_goes_on(world: World) -> None:
    asked = world.pending()
    names: list[str] = []
    ready = threading.Event()

    def listen() -> None:
        url = f"/sdk/approvals/{asked['approval_id']}/events"
        with httpx.stream("GET", world.server.url + url, headers={"X-API-Key": world.key}, timeout=30) as stream:
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    names.append(line.removeprefix("event: "))
                    ready.set()

    listener = threading.Thread(target=listen)
    listener.start()
    row = None
    for step in ("stop", "release", "decide"):
        assert ready.wait(5)
        ready.clear()
        if step == "stop":
            row = stop(world)
        elif step == "release":
            assert row
            release(row)
        else:
            world.decide(asked["approval_id"])
    listener.join(10)
    assert names == ["pending", "paused", "pending", "approved"]


def test_a_claim_that_waited_for_a_lock_while_the_stop_came_is_judged_again(world: World) -> None:
    asked = world.pending()
    world.decide(asked["approval_id"])
    path = f"/sdk/approvals/{asked['approval_id']}/claim"
    other = connections.create_connection("default")
    try:
        with ThreadPoolExecutor() as pool, other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM approvals_approval WHERE agent_id = %s FOR UPDATE", [world.bot.pk])
            claim = pool.submit(world.post, path, {}, idempotency_key="one")
            time.sleep(0.3)  # its transaction has read the epoch, and waits
            stop(world)
            time.sleep(0.4)
            cursor.execute("ROLLBACK")
            assert claim.result().json()["code"] == "paused"
    finally:
        other.close()


@pytest.fixture(scope="module")
def another(running_server: Server) -> Iterator[Server]:
    with Server() as server:
        yield server


def test_under_load_nothing_is_allowed_a_second_after_the_stop_on_two_processes(world: World, another: Server) -> None:
    over = threading.Event()
    allowed: list[list[float]] = []

    def ask(url: str) -> None:
        mine: list[float] = []
        allowed.append(mine)
        with httpx.Client(base_url=url, headers={"X-API-Key": world.key}, timeout=20) as client:
            while not over.is_set():
                body = {"agent_id": "support-bot", "action": "email.send"}
                if client.post("/sdk/check", json=body).json()["allowed"]:
                    mine.append(time.monotonic())

    agents = [threading.Thread(target=ask, args=[url]) for url in (world.server.url, another.url) for _ in range(4)]
    for each in agents:
        each.start()
    time.sleep(1.5)
    stop(world)
    stopped = time.monotonic()
    time.sleep(2)
    over.set()
    for each in agents:
        each.join()
    assert all(len(mine) > 5 for mine in allowed)  # there was load on both
    assert max(at for mine in allowed for at in mine) - stopped < 1
