"""A ban in the middle of load on two processes: nothing is allowed later than a second after it."""

import threading
import time

import httpx
import pytest

from accounts.by import COMMAND_LINE
from agents.models import ApiKey
from agents.services.agents import set_status
from audit.clock import database_now
from audit.models import Event
from tests.gateway.conftest import World, make_key
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)
CLIENTS = 4  # on each process


def test_nothing_is_allowed_later_than_a_second_after_a_ban_on_any_process(world: World) -> None:
    shared = make_key(world.acme)  # goes on working: only the agent is banned
    allowed: list[float] = []
    asked: list[float] = []
    stop = threading.Event()

    def ask(url: str, key: str) -> None:
        with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=20) as client:
            while not stop.is_set():
                began = time.monotonic()
                answer = client.post("/sdk/check", json={"agent_id": "support-bot", "action": "email.send"})
                asked.append(began)
                if answer.status_code == 200 and answer.json()["allowed"]:
                    allowed.append(time.monotonic())

    with Server() as second:
        threads = [
            threading.Thread(target=ask, args=(url, key))
            for url in (world.server.url, second.url)
            for key in (shared, world.key) * (CLIENTS // 2)
        ]
        for thread in threads:
            thread.start()
        time.sleep(2)
        set_status(agent=world.bot, by=COMMAND_LINE, status="banned", reason="stolen")
        at, committed = time.monotonic(), database_now()
        time.sleep(2)
        stop.set()
        for thread in threads:
            thread.join()
    assert len(allowed) > 20
    assert sum(began > at for began in asked) > 20
    assert max(allowed) - at < 1.0
    # And by the database's clock, not one was recorded after the ban.
    assert not Event.objects.filter(kind="agent:check:allow", at__gt=committed).exists()
    assert ApiKey.objects.get(agent=world.bot).is_revoked
