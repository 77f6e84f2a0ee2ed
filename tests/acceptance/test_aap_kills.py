"""Server, worker and receiver are killed between decision and notification: runs go on once, tools run once at most.

`script/aap-kills` runs it in full: a hundred deaths.
"""

import contextlib
import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from agentapprovalprotocol.receiver import new_secret

from audit.ids import show_id
from tests.acceptance.test_owed import until
from tests.acceptance.whole import COMMANDS, Whole
from tests.server import free_port

FULL = os.environ.get("AAP_KILLS") == "full"
DEATHS = 100 if FULL else 3
VICTIMS = ("web", "celery", "receiver")
SEED = 20_262
PATIENCE = 300.0  # seconds for what is certain to come, however slow the machine
SETUP = (
    COMMANDS
    + """
run("create_organization", "Acme")
run("create_user", "owner@example.com", "--role", "owner")
run("create_user", "ann@example.com", "--role", "approver")
run("create_agent", "Support bot", "--slug", "support-bot", "--owner", "owner@example.com")
run("set_permission", "support-bot", "stripe.refund.large", "--effect", "ask", "--max-amount", "1000")
made = run("create_provisioner_token", "--agent", "support-bot")
print(json.dumps(made | run("create_access_token", "ann@example.com", "--scope", "approvals:decide")))
"""
)


class Harness:
    """The agent's process, which is started again whenever it died."""

    def __init__(self, folder: Path, base: str) -> None:
        self.folder, self.port = folder, free_port()
        (folder / "runs").mkdir(parents=True)
        self.secret, self.registration = new_secret(), str(uuid.uuid4())
        said = {"base": base, "port": self.port, "secret": self.secret, "registration": self.registration}
        (folder / "settings.json").write_text(json.dumps(said))
        self.start()

    def start(self) -> None:
        script = Path(__file__).parents[1] / "aap/harness.py"
        self.process = subprocess.Popen([sys.executable, str(script), str(self.folder)])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def is_up(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/", timeout=2).status_code == 405
        except httpx.TransportError:
            return False

    def provision(self, base: str, token: str) -> None:
        """Has Warden verify the receiver and tell it of decisions; from now on, runs are begun."""
        delivery = {
            "type": "webhook",
            "url": f"http://127.0.0.1:{self.port}/aap/events",
            "registration_id": self.registration,
            "signing_secret": self.secret,
        }
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "p-1"}
        made = httpx.post(f"{base}/v1/instances", json={"delivery": delivery}, headers=headers, timeout=60)
        assert made.status_code == 201, made.text
        (self.folder / "token").write_text(made.json()["credential"]["token"])

    @property
    def ran(self) -> list[str]:
        """The tool's runs, in their order."""
        file = self.folder / "ran"
        return file.read_text().split() if file.exists() else []


@dataclass
class World:
    """A whole Warden, an approver's token, its database, and the agent."""

    warden: Whole
    token: str
    database: psycopg.Connection[Any]
    harness: Harness

    def one(self, query: str, *values: object) -> Any:
        row = self.database.execute(query, list(values)).fetchone()  # type: ignore[arg-type]
        return row[0] if row else None

    def begin(self, run: str) -> uuid.UUID:
        """Has the agent begin a run. Returns its request, which waits for a person."""
        asked = ("SELECT id FROM approvals_toolcall WHERE arguments LIKE %s", f'%"{run}"%')
        (self.harness.folder / "runs" / f"{run}.json").write_text(json.dumps({"amount": 500, "run": run}))
        until(lambda: self.one(*asked), PATIENCE)
        request: uuid.UUID = self.one(*asked)
        return request

    def approve(self, request: uuid.UUID) -> None:
        answer = httpx.post(
            f"{self.warden.url}/api/approvals/{show_id('apr', request)}/approve",
            json={"reason": ""},
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text

    def kill(self, victim: str) -> None:
        """kill -9. It is started again: the receiver by us, as a service manager would; the others by Warden."""
        if victim == "receiver":
            self.harness.kill()
            self.harness.start()
        else:
            self.warden.kill(victim)
        if victim == "celery":  # whoever held a delivery is dead: its lease need not be waited for
            self.database.execute(
                "UPDATE notifications_delivery SET leased_until = now() WHERE leased_until IS NOT NULL"
            )

    def all_told(self) -> bool:
        """Whether every decision was. One whose receiver was away is sent again now, and not when its pause is over."""
        self.database.execute(
            "UPDATE notifications_delivery SET due_at = now()"
            " WHERE transport = 'aap' AND state = 'due' AND leased_until IS NULL"
        )
        sent = "SELECT count(*) FROM notifications_delivery WHERE transport = 'aap' AND state = 'sent'"
        return bool(self.one(sent) == DEATHS)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    settings = {"WEBHOOK_ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8", "GATEWAY_RATE_LIMIT": "1000000"}
    with Whole(tmp_path / "home", **settings) as warden, contextlib.ExitStack() as stack:
        tokens = warden.manage("shell", "--no-imports", "--command", SETUP)
        harness = Harness(tmp_path / "harness", f"{warden.url}/aap")
        stack.callback(harness.kill)
        until(harness.is_up, PATIENCE)
        harness.provision(f"{warden.url}/aap", tokens["provisioner_token"])
        database = stack.enter_context(psycopg.connect(warden.database_url, autocommit=True))
        yield World(warden, tokens["access_token"], database, harness)


def test_a_run_goes_on_once_and_its_tool_runs_once_at_most_whatever_dies(world: World) -> None:
    chance = random.Random(SEED)
    dead: Counter[str] = Counter()
    for number in range(DEATHS):
        run, victim = f"run-{number}", VICTIMS[number % len(VICTIMS)]
        request = world.begin(run)
        world.approve(request)
        time.sleep(chance.uniform(0, 0.2))  # somewhere between the decision and what comes of it
        world.kill(victim)
        dead[victim] += 1
        took = until(lambda: world.one("SELECT consumed_at FROM approvals_toolcall WHERE id = %s", request), PATIENCE)  # noqa: B023
        if victim != "receiver":  # whoever runs the tool is alive, and hears that the approval is its own
            until(lambda: run in world.harness.ran, PATIENCE)  # noqa: B023
        if FULL:
            print(f"{run}: {victim} died, and it went on after {took:.1f} s", flush=True)

    until(world.all_told, PATIENCE)
    assert world.one("SELECT count(*) FROM notifications_delivery WHERE transport = 'aap'") == DEATHS
    claims = world.database.execute(
        "SELECT target, count(*) FROM audit_event WHERE kind = 'agent:approval:claim' GROUP BY target"
    ).fetchall()
    assert Counter(count for _, count in claims) == {1: DEATHS}
    ran = Counter(world.harness.ran)
    assert set(ran.values()) == {1}
    lost = {f"run-{number}" for number in range(DEATHS)} - set(ran)
    of_receivers = {f"run-{number}" for number in range(DEATHS) if VICTIMS[number % len(VICTIMS)] == "receiver"}
    assert lost <= of_receivers, "only a receiver that died after it consumed may not have run its tool"
    if FULL:
        print(f"{DEATHS} deaths {dict(dead)}: {len(ran)} tools ran once, {len(lost)} not at all", flush=True)
