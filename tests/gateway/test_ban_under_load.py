"""A ban in the middle of load on two processes: nothing is allowed later than a second after it.

`script/ban-under-load` asks for a thousand requests a second at least.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from accounts.by import COMMAND_LINE
from agents.models import ApiKey
from agents.services.agents import set_status
from audit.clock import database_now
from audit.models import Event
from tests.gateway.conftest import World, make_key
from tests.server import Server

pytestmark = pytest.mark.django_db(transaction=True)
FULL = os.environ.get("BAN_UNDER_LOAD") == "full"
BEFORE, AFTER = (10.0, 10.0) if FULL else (2.0, 2.0)  # seconds of load
RATE = 1_000 if FULL else 100  # answers a second, at the least
CONNECTIONS = 8  # of each key, to each process


def test_nothing_is_allowed_later_than_a_second_after_a_ban_on_any_process(world: World) -> None:
    shared = make_key(world.acme)  # goes on working: only the agent is banned
    with Server() as second:
        loads = [_load(port, key) for port in (world.server.port, second.port) for key in (shared, world.key)]
        for load in loads:
            assert load.stdout
            assert load.stdout.readline() == "connected\n"
        time.sleep(BEFORE)
        set_status(agent=world.bot, by=COMMAND_LINE, status="banned", reason="stolen")
        at, committed = time.monotonic(), database_now()
        said = [json.loads(load.communicate(timeout=60)[0]) for load in loads]
    rate = sum(each["answers_per_second"] for each in said)
    late = max(each["last"] for each in said) - at
    if FULL:
        print(f"{rate:,.0f} answers a second; the last allow came {1000 * late:+.0f} ms after the ban", flush=True)
    assert rate >= RATE
    assert late < 1.0
    assert min(each["last"] for each in said) > at - 1  # whichever process and key: up to the ban they were allowed
    assert all(each["wrong"] > 20 for each in said)  # and asked on after it
    # And by the database's clock, not one was recorded after the ban.
    assert not Event.objects.filter(kind="agent:check:allow", at__gt=committed).exists()
    assert ApiKey.objects.get(agent=world.bot).is_revoked


def _load(port: int, key: str) -> subprocess.Popen[str]:
    """Checks that the agent may do, one after the other on each connection, until well after the ban."""
    job: dict[str, Any] = {
        "path": "/sdk/check",
        "host": "127.0.0.1",
        "port": port,
        "key": key,
        "body": {"agent_id": "support-bot", "action": "email.send"},
        "expected": '"allowed":true',
        "connections": CONNECTIONS,
        "tell": True,
        "warm_up": 0,
        "seconds": BEFORE + AFTER,
    }
    command = [sys.executable, "-m", "tests.bench.load"]
    load = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert load.stdin
    load.stdin.write(json.dumps(job))
    load.stdin.close()
    load.stdin = None
    return load
