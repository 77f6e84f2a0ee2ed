"""The example agent on its 200 tickets: what it pays, what it leaves, and that it never pays twice."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agentwarden import AuthenticationError
from agentwarden.testing import FakeWarden

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


agent = load("refund_agent")
Run = Any


@pytest.fixture
def fake() -> FakeWarden:
    """The tiers of a support bot: to $200 it passes, to $1,000 a person is asked, above that it is denied."""
    fake = FakeWarden(agents=["customer-support-bot"])
    fake.allow("stripe.refund", up_to=50)
    fake.allow("stripe.refund", up_to=200)
    fake.ask("stripe.refund", up_to=1000)
    return fake


@pytest.fixture
def run(fake: FakeWarden, tmp_path: Path) -> Run:
    """Runs the agent on tickets (the file's own, unless some are given), always with the same ledger."""

    async def work(tickets: list[Any] | None = None, *more: str, client: Any = None) -> Counter[str]:
        argv = ["--ledger", str(tmp_path / "ledger"), "--timeout", "0", *more]
        if tickets is not None:
            file = tmp_path / "tickets"
            file.write_text("\n".join(json.dumps(ticket) for ticket in tickets))
            argv.append(str(file))
        async with fake.async_client(max_retries=0) if client is None else client as guard:
            results: Counter[str] = await agent.run(agent.arguments(argv), guard)
        return results

    return work


def refunds(tmp_path: Path) -> dict[str, int]:
    db = sqlite3.connect(tmp_path / "ledger")
    try:
        return dict(db.execute("SELECT ticket_id, cents FROM refunds"))
    finally:
        db.close()


def ticket(number: int, amount: Any, **more: Any) -> dict[str, Any]:
    return {"ticket_id": f"TCK-{number:04}", "amount": amount, "currency": "USD", **more}


def file_tickets() -> dict[str, dict[str, Any]]:
    """The file's usable tickets by id, the first of each."""
    found: dict[str, dict[str, Any]] = {}
    for line in (EXAMPLES / "tickets.jsonl").read_text().splitlines():
        try:
            one = agent.read_ticket(line)
        except agent.Unusable:
            continue
        found.setdefault(one.id, one.context)
    return found


def money_tickets(low: float, high: float) -> set[str]:
    found = file_tickets().items()
    return {name for name, t in found if isinstance(t.get("amount"), int | float) and low < t["amount"] <= high}


def test_the_file_is_what_its_script_writes() -> None:
    lines = load("make_tickets").lines()
    assert (EXAMPLES / "tickets.jsonl").read_text().splitlines() == lines
    assert len([line for line in lines if line]) == 200
    assert lines.count("") == 3
    assert all(line.isascii() for line in lines)


async def test_the_whole_file_is_worked_through(run: Run, fake: FakeWarden, tmp_path: Path, capsys: Any) -> None:
    results = await run()
    small, large = money_tickets(0, 200) - {"TCK-0128"}, money_tickets(200, 1000)  # TCK-0128: a fraction of a cent
    paid = refunds(tmp_path)
    assert paid.keys() == small
    assert all(paid[name] == round(file_tickets()[name]["amount"] * 100) for name in paid)
    assert len(fake.pending) == results["still waiting"] == len(large - {"TCK-0190"})  # half a character: not sent
    assert results["refunded"] == len(small) > 100
    assert sum(results.values()) == 200
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    for name in ("TCK-0007", "TCK-0019", "TCK-0031", "TCK-0066", "TCK-0079", "TCK-0113", "TCK-0121", "TCK-0171"):
        assert name not in paid
    statuses = Counter(log.status for log in fake.logs)
    assert statuses["success"] == len(small)
    assert statuses["pending_approval"] == len(fake.pending)

    for approval_id in fake.pending:
        fake.approve(approval_id)
    again = await run(None, "--timeout", "30")
    assert again["refunded"] == len(large - {"TCK-0190"})
    assert refunds(tmp_path).keys() == small | (large - {"TCK-0190"})
    assert len(fake.claims) == len(set(fake.claims)) == again["refunded"]
    assert (await run())["refunded"] == 0


async def test_it_goes_on_while_people_decide(run: Run, fake: FakeWarden, tmp_path: Path) -> None:
    async def decide() -> None:
        # A ledger in a file has no event to await.
        while len(refunds(tmp_path) if (tmp_path / "ledger").exists() else ()) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        first, second, third = fake.pending
        fake.approve(first)
        fake.reject(second, reason="No receipt")
        fake.approve(third, effective_context=ticket(4, 250))

    person = asyncio.create_task(decide())
    tickets = [ticket(1, 300), ticket(2, 400), ticket(4, 500), ticket(3, 5), ticket(5, 6)]
    results = await run(tickets, "--timeout", "30")
    await person
    assert refunds(tmp_path) == {"TCK-0001": 30000, "TCK-0003": 500, "TCK-0004": 25000, "TCK-0005": 600}
    assert (results["refunded"], results["denied"], results["still waiting"]) == (4, 1, 0)
    denied = [log for log in fake.logs if log.status == "denied"]
    assert denied[0].context is not None
    assert denied[0].context["denial_reason"] == "No receipt"


async def test_a_ticket_that_comes_twice_is_paid_once(run: Run, fake: FakeWarden, tmp_path: Path) -> None:
    results = await run([ticket(1, 5), ticket(1, 5), ticket(1, 50), ticket(2, 300), ticket(2, 300)])
    assert refunds(tmp_path) == {"TCK-0001": 500}
    assert len(fake.checks) == 2
    assert results == {"refunded": 1, "refunded before": 2, "waiting before": 1, "still waiting": 1}


async def test_a_crash_after_the_claim_is_made_good(run: Run, fake: FakeWarden, tmp_path: Path) -> None:
    await run([ticket(1, 300)])
    [approval_id] = fake.pending
    fake.approve(approval_id)
    async with fake.async_client() as crashed:
        await crashed.claim(approval_id, f"TCK-0001:{approval_id}")
    assert (await run([ticket(1, 300)], "--timeout", "10"))["refunded"] == 1
    assert refunds(tmp_path) == {"TCK-0001": 30000}


async def test_what_somebody_else_claimed_is_not_paid(run: Run, fake: FakeWarden, tmp_path: Path) -> None:
    await run([ticket(1, 300)])
    [approval_id] = fake.pending
    fake.approve(approval_id)
    async with fake.async_client() as other:
        await other.claim(approval_id, "another")
    assert (await run([ticket(1, 300)], "--timeout", "10"))["denied"] == 1
    assert refunds(tmp_path) == {}


async def test_without_an_answer_nothing_is_paid_and_it_stops(run: Run, fake: FakeWarden, tmp_path: Path) -> None:
    fake.disconnect()
    results = await run([ticket(n, 5) for n in range(1, 10)])
    assert results["not answered"] == 3
    assert refunds(tmp_path) == {}
    fake.reconnect()
    assert (await run([ticket(n, 5) for n in range(1, 10)]))["refunded"] == 9


async def test_a_wrong_key_stops_it_at_once(run: Run, fake: FakeWarden, tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError):
        await run([ticket(1, 5)], client=fake.async_client(api_key="test_some_other_key"))
    assert refunds(tmp_path) == {}


async def test_a_log_that_fails_changes_nothing_about_the_money(run: Run, fake: FakeWarden, tmp_path: Path) -> None:
    async with fake.async_client(max_retries=0) as guard:
        fake.allow("stripe.refund")

        async def broken(*args: Any, **kwargs: Any) -> Any:
            fake.fail(503, times=1)
            return await type(guard).log(guard, *args, **kwargs)

        guard.log = broken  # type: ignore[method-assign]
        results = await run([ticket(1, 5), ticket(2, 6)], client=guard)
    assert refunds(tmp_path) == {"TCK-0001": 500, "TCK-0002": 600}
    assert results["not logged"] == 2


@pytest.mark.parametrize("amount", [None, "5", True, -1, 0, 0.001, 12.345, 1e300, [5], {"n": 5}], ids=repr)
async def test_even_an_allow_pays_only_sums_of_money(run: Run, fake: FakeWarden, tmp_path: Path, amount: Any) -> None:
    loose = FakeWarden()
    loose.allow("stripe.refund")
    await run([ticket(1, amount), ticket(2, 5, currency="DOGE")], client=loose.async_client())
    assert refunds(tmp_path) == {}
    assert [log.status for log in loose.logs] == ["failed", "failed"]


def test_another_key_begins_another_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("refund_agent")
    ledgers = []
    for key in ("ak_one", "ak_two", "ak_one"):
        monkeypatch.setenv("AGENTWARDEN_API_KEY", key)
        ledgers.append(example.arguments([]).ledger)
        assert key not in str(ledgers[-1])
    assert ledgers[0] == ledgers[2] != ledgers[1]


def test_what_is_printed_is_plain() -> None:
    assert agent.plain("a\u202eb\x1b[2J\u200bc\nd") == "a\\u202eb\\u001b[2J\\u200bc\\u000ad"
    assert len(agent.plain("x" * 500)) == 200


def test_it_says_what_it_needs(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTWARDEN")}
    command = [sys.executable, str(EXAMPLES / "refund_agent.py"), "--ledger", str(tmp_path / "ledger")]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 2
    assert finished.stderr == "refund_agent: No API key: pass api_key=… or set AGENTWARDEN_API_KEY\n"
    assert "--pace" in subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60).stdout
