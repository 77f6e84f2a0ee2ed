"""kill -9 of the web worker, the Celery worker and the database while agents ask: nothing that was said is lost."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
import pytest

from audit.ids import read_id, show_id
from audit.leaf import leaf_hash
from tests.acceptance.whole import COMMANDS, Whole

SEED = 20_260
CHECKS, CLAIMS, THREADS = 200, 24, 8
ROUNDS = ["web worker", "postgres", "celery", "web worker, postgres", "celery, valkey", "postgres, web"]
RECOVERS, EXPIRES, GIVES_UP = 30.0, 60.0, 120.0  # seconds
SOON = 30.0  # seconds, for what is swept every five, on a machine that has much to do
WAITING = "SELECT id FROM approvals_approval WHERE state = 'pending' AND reminders_sent = 0 ORDER BY id LIMIT 2"
TOLD = (
    "SELECT kind FROM audit_event WHERE kind LIKE 'system:%%'"
    " AND (target = %s OR (kind LIKE 'system:alert:%%' AND body LIKE %s)) ORDER BY id"
)
SETUP = (
    COMMANDS
    + """
run("create_organization", "Acme")
run("create_user", "owner@example.com", "--role", "owner")
run("create_user", "approver@example.com", "--role", "approver")
run("create_agent", "Support bot", "--slug", "support-bot", "--owner", "owner@example.com", "--max-pending", "10000")
run("set_permission", "support-bot", "stripe.refund.small", "--effect", "allow", "--max-amount", "50")
run("set_permission", "support-bot", "stripe.refund.large", "--effect", "ask", "--max-amount", "1000")
key = run("create_api_key", "--agent", "support-bot", "--mode", "live")
token = run("create_access_token", "approver@example.com", "--scope", "approvals:decide")
print(json.dumps({"key": key["api_key"], "token": token["access_token"]}))
"""
)


@dataclass
class Agents:
    """What agents were told, each request repeated under its idempotency key until it was answered."""

    warden: Whole
    client: httpx.Client
    key: str
    token: str
    allowed: list[dict[str, Any]] = field(default_factory=list)
    pending: dict[str, str] = field(default_factory=dict)  # order → approval_id
    claimed: list[str] = field(default_factory=list)
    not_answered: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def post(self, path: str, body: Any, headers: dict[str, str]) -> dict[str, Any] | None:
        """The answer of a 200; None where there was none, or a 5xx. Anything else is an error of the test."""
        try:
            response = self.client.post(path, json=body, headers=headers)
        except httpx.TransportError as error:
            self.not_answered[type(error).__name__] += 1
            return None
        if response.status_code >= 500:
            assert b'"allowed":true' not in response.content
            self.not_answered[str(response.status_code)] += 1
            return None
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def insist(self, path: str, body: Any, key: str) -> dict[str, Any]:
        headers = {"X-API-Key": self.key, "Idempotency-Key": key}
        began = time.monotonic()
        while (answer := self.post(path, body, headers)) is None:
            assert time.monotonic() - began < GIVES_UP, f"{path} is never answered"
            time.sleep(0.1)
        return answer

    def allow(self, number: int) -> None:
        """A plain check: asked once; whatever is answered counts."""
        body = refund(20, f"small-{number}")
        if answer := self.post("/sdk/check", body, {"X-API-Key": self.key}):
            assert answer["allowed"] is True
            self.allowed.append(answer)

    def ask(self, number: int, expires_in: int = 3600) -> str:
        order = f"large-{number}"
        answer = self.insist("/sdk/check", refund(500, order) | {"expires_in": expires_in}, order)
        assert (answer["allowed"], answer["requires_approval"]) == (False, True)
        self.pending[order] = answer["approval_id"]
        approval_id: str = answer["approval_id"]
        return approval_id

    def approve(self, approval_id: str) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        response = self.client.post(f"/api/approvals/{approval_id}/approve", json={"reason": ""}, headers=headers)
        assert response.status_code == 200, response.text

    def claim(self, approval_id: str) -> None:
        answer = self.insist(f"/sdk/approvals/{approval_id}/claim", None, f"claim-{approval_id}")
        assert answer["claim"] is not None
        self.claimed.append(approval_id)

    def work(self, jobs: Iterator[tuple[str, Any]], lock: threading.Lock) -> None:
        """Takes jobs as they come, and asks on until the last kill; what is left then goes at once."""
        chance = random.Random(threading.get_ident())
        while True:
            with lock:
                verb, what = next(jobs, ("", None))
            if verb:
                getattr(self, verb)(what)
            elif self.over.is_set():
                return
            else:
                self.allow(chance.getrandbits(32))
            self.over.wait(chance.uniform(0.1, 0.9))


def refund(amount: int, order: str) -> dict[str, Any]:
    return {"agent_id": "support-bot", "action": "stripe.refund", "context": {"amount": amount, "order": order}}


@pytest.fixture(scope="module")
def warden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with Whole(tmp_path_factory.mktemp("kills") / "home") as warden:
        yield warden


def test_nothing_that_was_said_is_lost_whatever_is_killed(warden: Whole) -> None:
    made = warden.manage("shell", "--no-imports", "--command", SETUP)
    with httpx.Client(base_url=warden.url, timeout=20) as client:
        agents = Agents(warden, client, made["key"], made["token"])
        approved, moot = kill_while_they_ask(agents)
    assert len(agents.allowed) > CHECKS // 4
    assert sum(agents.not_answered.values()) > 0  # some of it did hit
    with psycopg.connect(warden.database_url, autocommit=True) as database:
        every_allow_is_in_the_record(agents, database)
        no_approval_is_lost_or_taken_twice(agents, approved, database)
        what_is_overdue_expires(moot, database)


def kill_while_they_ask(agents: Agents) -> tuple[list[str], list[str]]:
    """All rounds. Returns the approvals that were approved before, and those whose deadline passed meanwhile."""
    warden = agents.warden
    approved = [agents.ask(number) for number in range(CLAIMS)]
    for approval_id in approved:
        agents.approve(approval_id)
    moot = [agents.ask(CLAIMS + number, expires_in=5 + 5 * number) for number in range(6)]

    chance = random.Random(SEED)
    jobs: list[tuple[str, Any]] = [("allow", number) for number in range(CHECKS // 2)]
    jobs += [("ask", 1_000 + number) for number in range(CHECKS // 2)]
    jobs += [("claim", approval_id) for approval_id in approved]
    chance.shuffle(jobs)
    lock, queue = threading.Lock(), iter(jobs)
    with ThreadPoolExecutor(THREADS) as pool:
        working = [pool.submit(agents.work, queue, lock) for _ in range(THREADS)]
        try:
            for victims in ROUNDS:
                time.sleep(chance.uniform(0.0, 1.5))
                for what in victims.split(", "):
                    warden.kill(what)
                recovers(agents, victims)
        finally:
            agents.over.set()
        for each in working:
            each.result(GIVES_UP)
    return approved, moot


def recovers(agents: Agents, victims: str) -> None:
    """A check that begins after the deaths is answered in time."""
    began = time.monotonic()
    while agents.post("/sdk/check", refund(20, "is it back?"), {"X-API-Key": agents.key}) is None:
        if time.monotonic() - began > RECOVERS:
            pytest.fail(f"no answer {RECOVERS:.0f} s after the death of {victims}:\n{agents.warden.said()[-4000:]}")
        time.sleep(0.1)


def every_allow_is_in_the_record(agents: Agents, database: psycopg.Connection[Any]) -> None:
    assert agents.allowed
    for answer in agents.allowed:
        event_id = read_id("evt", answer["audit"]["event_id"])
        event = database.execute("SELECT result, body, leaf FROM audit_event WHERE id = %s", [event_id]).fetchone()
        assert event, answer
        result, body, leaf = event
        assert result == "allow"
        assert bytes(leaf) == leaf_hash(body)
        assert bytes(leaf).hex() == answer["audit"]["leaf_hash"]


def no_approval_is_lost_or_taken_twice(agents: Agents, approved: list[str], database: psycopg.Connection[Any]) -> None:
    rows = dict(database.execute("SELECT id, claimed_at FROM approvals_approval").fetchall())
    asked = {read_id("apr", approval_id) for approval_id in agents.pending.values()}
    assert asked == set(rows)  # each is there, and a repeated request made no second one
    assert len(asked) == len(agents.pending)
    assert sorted(agents.claimed) == sorted(approved)
    claimed = {read_id("apr", approval_id) for approval_id in approved}
    assert {approval_id for approval_id, at in rows.items() if at is not None} == claimed
    events = database.execute("SELECT target FROM audit_event WHERE kind = 'agent:approval:claim'").fetchall()
    assert Counter(target for (target,) in events) == Counter(approved)


def what_is_overdue_expires(moot: list[str], database: psycopg.Connection[Any]) -> None:
    """The sweep, too, is back: it ends what became due while it was dead."""
    ids = [read_id("apr", approval_id) for approval_id in moot]
    until = time.monotonic() + EXPIRES
    query = "SELECT count(*) FROM approvals_approval WHERE id = ANY(%s) AND state <> 'expired'"
    while (row := database.execute(query, [ids]).fetchone()) != (0,):
        assert time.monotonic() < until, f"{row} are pending still"
        time.sleep(0.2)


def test_what_fell_due_while_nothing_ran_happens_right_after_the_start(warden: Whole) -> None:
    """And an alert that fired before fires no second time, and resolves once."""
    with psycopg.connect(warden.database_url, autocommit=True) as database:
        told(database, "Backlog", ["system:alert:fire"], EXPIRES)  # more than ten requests wait
        late, half = (row[0] for row in database.execute(WAITING).fetchall())
        database.execute("UPDATE approvals_approval SET expires_at = now() + interval '5 s' WHERE id = %s", [late])
        database.execute("UPDATE approvals_approval SET remind_at = now() + interval '5 s' WHERE id = %s", [half])
        stopped = time.monotonic()
    assert warden.stop() == 0
    assert warden.alive() == []
    time.sleep(max(0.0, stopped + 6 - time.monotonic()))
    warden.start()
    with psycopg.connect(warden.database_url, autocommit=True) as database:
        told(database, show_id("apr", late), ["system:approval:expired"], SOON)
        told(database, show_id("apr", half), ["system:approval:reminded"], SOON)
        warden.manage("set_alert_rule", "Backlog", "--threshold", "100000", "--json")
        told(database, "Backlog", ["system:alert:fire", "system:alert:resolve"], EXPIRES)


def told(database: psycopg.Connection[Any], of: str, kinds: list[str], seconds: float) -> None:
    """Waits for exactly these events of the system about an approval, or an alert of that name."""
    until = time.monotonic() + seconds
    while (found := [row[0] for row in database.execute(TOLD, [of, f'%"named":"{of}"%']).fetchall()]) != kinds:
        assert time.monotonic() < until, f"{found} is not {kinds}"
        time.sleep(0.2)


def test_after_sigterm_no_process_is_left(warden: Whole) -> None:
    assert len(warden.alive()) > 5
    assert warden.stop() == 0
    assert warden.alive() == []
