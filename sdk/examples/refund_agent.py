"""A customer support agent that works through refund tickets and asks Warden before each one.

    export AGENTWARDEN_BASE_URL=http://127.0.0.1:8000 AGENTWARDEN_API_KEY=test_…
    python refund_agent.py

Check, act, log: what the policy allows is refunded at once, what needs a person waits while the other tickets go on,
and is finished as the person decides. A ticket is refunded at most once, however often this is started, stopped or
killed: the ledger (SQLite) holds one refund a ticket, and an approval is claimed under a key made from both ids.
Without a clear yes from Warden no money moves.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import sqlite3
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentwarden import (
    AgentNotFoundError,
    AgentWardenError,
    APIError,
    AsyncAgentWarden,
    AuthenticationError,
    CheckResult,
    PermissionDeniedError,
    ValidationError,
)

ACTION = "stripe.refund"  # the tier (small, medium, large) follows from the amount
HERE = Path(__file__).parent
FINAL = {"refunded", "denied", "unusable"}


class Unusable(Exception):
    """A ticket nobody can work with, and why."""


@dataclass(frozen=True)
class Ticket:
    id: str
    context: dict[str, Any]  # as it came: Warden and the person who decides see all of it


def read_ticket(line: str) -> Ticket:
    """One line as a ticket. Whether its amount makes sense is for Warden, and then for the ledger, to say."""
    try:
        value = json.loads(line, parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unusable("not an object")
    ticket_id = value.get("ticket_id")
    if not isinstance(ticket_id, str) or not re.fullmatch(r"TCK-[0-9]{1,10}", ticket_id):
        raise Unusable("no ticket_id such as TCK-0001")
    return Ticket(ticket_id, value)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a field stands twice")
    return dict(pairs)


def cents(context: dict[str, Any]) -> int:
    """The amount to pay, exactly; Unusable unless it is a positive number of whole cents in USD."""
    amount = context.get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise Unusable("the amount is not a number")
    value = Decimal(str(amount)) * 100
    if not (0 < value < 10**9 and value == value.to_integral_value()):
        raise Unusable("the amount is not a sum of money")
    if context.get("currency") != "USD":
        raise Unusable("the currency is not USD")
    return int(value)


class Ledger:
    """What was done, in a file: one row a ticket, and one refund a ticket at most."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS tickets (ticket_id TEXT PRIMARY KEY, state TEXT NOT NULL, approval_id TEXT)"
        )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS refunds (ticket_id TEXT PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents > 0),"
            " decision_id TEXT, approval_id TEXT, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"
        )

    def state(self, ticket_id: str) -> tuple[str, str | None]:
        row = self._db.execute("SELECT state, approval_id FROM tickets WHERE ticket_id = ?", (ticket_id,)).fetchone()
        return row or ("new", None)

    def note(self, ticket_id: str, state: str, approval_id: str | None = None) -> None:
        self._db.execute("INSERT OR REPLACE INTO tickets VALUES (?, ?, ?)", (ticket_id, state, approval_id))

    def refund(self, ticket_id: str, amount: int, decision_id: str | None, approval_id: str | None) -> bool:
        """Pay, here by writing it down. False when this ticket was paid before."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            row = (ticket_id, amount, decision_id, approval_id)
            paid = self._db.execute(
                "INSERT OR IGNORE INTO refunds (ticket_id, cents, decision_id, approval_id) VALUES (?, ?, ?, ?)", row
            ).rowcount
            self.note(ticket_id, "refunded", approval_id)
        return bool(paid)

    def total(self) -> tuple[int, int]:
        """How many refunds there are, and their sum in cents."""
        count, total = self._db.execute("SELECT count(*), coalesce(sum(cents), 0) FROM refunds").fetchone()
        return count, total

    def close(self) -> None:
        self._db.close()


@dataclass
class Agent:
    """One run over the tickets."""

    guard: AsyncAgentWarden
    ledger: Ledger
    agent_id: str
    results: Counter[str] = field(default_factory=Counter)
    waiting: dict[asyncio.Task[None], str] = field(default_factory=dict)

    async def work(self, lines: list[tuple[int, str]], *, pace: float, patience: float) -> None:
        """Every ticket once; then up to `patience` seconds for the people who still have to decide."""
        silent = 0
        for number, line in lines:
            silent = 0 if await self._one(number, line) else silent + 1
            if silent == 3:
                say("", "stopping: Warden could not be reached for three tickets in a row")
                break
            await asyncio.sleep(pace)
        if self.waiting:
            say("", f"{len(self.waiting)} tickets wait for a person; waiting with them up to {patience:g} s")
            await asyncio.wait(self.waiting, timeout=patience)
        await self.stop()

    async def stop(self) -> None:
        """Leave what still waits as it is: the next run goes on from there."""
        unfinished = [task for task in self.waiting if not task.done()]
        self.results["still waiting"] += len(unfinished)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*self.waiting, return_exceptions=True)

    async def _one(self, number: int, line: str) -> bool:
        """One line of the file. False when Warden could not be heard."""
        try:
            ticket = read_ticket(line)
        except Unusable as error:
            self._result("unusable", f"line {number}", f"unusable: {error}")
            await self._log("failed", {"line": number, "error": str(error)})
            return True
        state, approval_id = self.ledger.state(ticket.id)
        if state in FINAL:
            self._result(f"{state} before", ticket.id, f"nothing to do, {state} before")
        elif any(ticket.id == other for other in self.waiting.values()):
            self._result("waiting before", ticket.id, "nothing to do, waits already")
        elif state == "waiting" and approval_id:
            self._finish_later(ticket, approval_id)
            say(ticket.id, f"{money(ticket.context)}  still waits for a person ({approval_id})")
        else:
            return await self._ask(ticket)
        return True

    async def _ask(self, ticket: Ticket) -> bool:
        try:
            result = await self.guard.check(self.agent_id, ACTION, ticket.context, reasoning="A customer's ticket")
        except (AuthenticationError, AgentNotFoundError, PermissionDeniedError):
            raise  # no ticket will fare better
        except ValidationError as error:
            self._close(ticket, "unusable", f"unusable: {error}")
            await self._log("failed", {"ticket_id": ticket.id, "error": str(error)})
            return True
        except AgentWardenError as error:
            self._result("not answered", ticket.id, f"{money(ticket.context)}  not refunded: {error}")
            return False
        if result.requires_approval and result.approval_id:
            self.ledger.note(ticket.id, "waiting", result.approval_id)
            self._finish_later(ticket, result.approval_id)
            say(ticket.id, f"{money(ticket.context)}  waits for a person: {result.approval_url or result.approval_id}")
            await self._log("pending_approval", ticket.context, result)
        elif result.allowed:
            await self._pay(ticket, result.effective_context or ticket.context, result)
        else:
            self._close(ticket, "denied", f"{money(ticket.context)}  denied: {result.reason}")
            await self._log("denied", {**ticket.context, "denial_reason": result.reason}, result)
        return True

    def _finish_later(self, ticket: Ticket, approval_id: str) -> None:
        task = asyncio.create_task(self._finish(ticket, approval_id))
        self.waiting[task] = ticket.id

    async def _finish(self, ticket: Ticket, approval_id: str) -> None:
        """Wait for the person, take the approval, pay what was approved."""
        about = CheckResult(allowed=False, requires_approval=True, approval_id=approval_id)
        try:
            approval = await self.guard.wait_for_approval(approval_id)
            if not approval.approved:
                reason = approval.reason or f"the request was {approval.status}"
                self._close(ticket, "denied", f"{money(ticket.context)}  denied by a person: {reason}")
                await self._log("denied", {**ticket.context, "denial_reason": reason}, about)
                return
            # The same key in every run: whoever crashed after claiming gets the claim again, and nobody else does.
            claim = await self.guard.claim(approval_id, f"{ticket.id}:{approval_id}")
        except APIError as error:
            if error.status_code == 409:
                self._close(ticket, "denied", f"{money(ticket.context)}  approved, but no longer valid: {error}")
                await self._log("blocked", {**ticket.context, "denial_reason": str(error)}, about)
            else:
                self._result("not answered", ticket.id, f"{money(ticket.context)}  still waits: {error}")
        except AgentWardenError as error:
            self._result("not answered", ticket.id, f"{money(ticket.context)}  still waits: {error}")
        else:
            await self._pay(ticket, claim.effective_context or ticket.context, about)

    async def _pay(self, ticket: Ticket, context: Any, result: CheckResult) -> None:
        context = dict(context)
        try:
            amount = cents(context)
        except Unusable as error:
            self._close(ticket, "unusable", f"{money(context)}  not refunded: {error}")
            failure = {"type": type(error).__name__, "message": str(error)}
            await self._log("failed", {**context, "error": failure}, result)
            return
        if not self.ledger.refund(ticket.id, amount, result.decision_id, result.approval_id):
            self._result("refunded before", ticket.id, "nothing to do, refunded before")
            return
        by = ", approved by a person" if result.approval_id else ""
        self._result("refunded", ticket.id, f"{money(context)}  refunded{by}")
        await self._log("success", context, result)

    def _close(self, ticket: Ticket, state: str, text: str) -> None:
        self.ledger.note(ticket.id, state)
        self._result(state, ticket.id, text)

    def _result(self, result: str, who: str, text: str) -> None:
        self.results[result] += 1
        say(who, text)

    async def _log(self, status: str, context: dict[str, Any], result: CheckResult | None = None) -> None:
        ids = {"approval_id": result.approval_id, "decision_id": result.decision_id} if result else {}
        try:
            await self.guard.log(self.agent_id, ACTION, status, context, **ids)
        except AgentWardenError as error:  # the money is where the ledger says; only the record at Warden is short
            self._result("not logged", str(context.get("ticket_id", "")), f"outcome '{status}' not logged: {error}")


def money(context: dict[str, Any]) -> str:
    amount = context.get("amount")
    shown = plain(json.dumps(amount), 10)
    if isinstance(amount, int | float) and not isinstance(amount, bool) and 0 <= amount < 10**7:
        exact = f"${amount:,.2f}"
        shown = exact if float(amount) == round(amount, 2) else f"${shown}"
    return f"{shown:>10}"


def plain(text: str, most: int = 200) -> str:
    """Text from outside, safe to print: control, bidi and zero-width characters are shown by number."""
    shown = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def say(who: str, text: str) -> None:
    print(f"{plain(who, 12):<12} {plain(text)}", flush=True)


def summary(agent: Agent, path: Path) -> str:
    count, total = agent.ledger.total()
    told = ", ".join(f"{number} {name}" for name, number in sorted(agent.results.items()) if number)
    return f"\nThis run: {told or 'nothing'}.\nLedger {path}: {count} refunds, ${total / 100:,.2f} in all."


async def run(options: argparse.Namespace, guard: AsyncAgentWarden) -> Counter[str]:
    """Work through the file; the counts of what happened."""
    text = options.tickets.read_text(encoding="utf-8", errors="replace")
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()][: options.limit]
    ledger = Ledger(options.ledger)
    agent = Agent(guard, ledger, options.agent)
    try:
        await agent.work(lines, pace=options.pace, patience=options.timeout)
    finally:
        await agent.stop()
        print(summary(agent, options.ledger), flush=True)
        ledger.close()
    return agent.results


def default_ledger() -> Path:
    """One for each key: another Warden knows nothing of what this one was asked."""
    key = os.environ.get("AGENTWARDEN_API_KEY", "")
    return Path(tempfile.gettempdir()) / f"agentwarden-refunds-{hashlib.sha256(key.encode()).hexdigest()[:12]}.sqlite3"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Works through refund tickets and asks Warden before each one.")
    parser.add_argument("tickets", nargs="?", type=Path, default=HERE / "tickets.jsonl", help="a file of JSON lines")
    parser.add_argument("--agent", default="customer-support-bot", help="the agent's name in Warden")
    parser.add_argument("--limit", type=int, help="stop after so many tickets")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between two tickets")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds to wait for people at the end")
    parser.add_argument(
        "--ledger",
        type=Path,
        default=default_ledger(),
        help="where refunds are written down; the same file again goes on where it stopped",
    )
    return parser.parse_args(argv)


async def _main(options: argparse.Namespace) -> int:
    # A long budget a call: a batch may as well wait out a rate limit.
    async with AsyncAgentWarden(timeout=70.0) as guard:
        results = await run(options, guard)
    return 1 if results["not answered"] else 0


def main(argv: list[str] | None = None) -> int:
    """0: every ticket was answered (some may still wait); 1: Warden was not heard for some; 2: it cannot work."""
    try:
        return asyncio.run(_main(arguments(argv)))
    except (AgentWardenError, OSError, sqlite3.Error) as error:
        print(f"refund_agent: {plain(str(error), 500)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped. Run it again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
