"""agentwarden approvals: what waits for people, read with a person's token; one request also with its agent's key."""

from __future__ import annotations

import argparse
import time
from typing import Any

from .._client import AgentWarden
from .._json import decode
from .._models import STATUSES
from .._requests import Request, approval_path
from ._configuration import Configuration, configuration
from ._exits import Exit, Trouble
from ._options import common
from ._output import Output
from ._spinner import spinning
from .ask import ENDS

MOST = 100  # in one list
EVERY = 2.0  # seconds between two looks


def configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="requests, newest first", description="Requests, newest first.")
    listing.add_argument("--status", choices=sorted(STATUSES), help="only those in this state")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default: 20, most: 100)")
    show = verbs.add_parser("show", help="one request", description="One request, all of it.")
    show.add_argument("approval", metavar="ID", help="apr_…")
    watch = verbs.add_parser(
        "watch",
        help="requests as they come and end; with an ID, one until it ends",
        description="Requests as they come and end, until Ctrl-C; with an ID, one to its end; the exit code says how.",
    )
    watch.add_argument("approval", metavar="ID", nargs="?", help="apr_…")
    for verb in (listing, show, watch):
        verb.add_argument("--mode", choices=("live", "test"), default="live", help="whose (default: live)")
        common(verb)


def run(options: argparse.Namespace, output: Output) -> Exit:
    told = configuration(options)
    if options.verb == "list":
        return _list(told, options, output)
    if options.verb == "show":
        value = _one(told, options.approval)
        output.say(_story(value), value)
        return Exit.OK
    return _watch_one(told, options.approval, output) if options.approval else _watch_all(told, options, output)


def _list(told: Configuration, options: argparse.Namespace, output: Output) -> Exit:
    if not 1 <= options.limit <= MOST:
        raise Trouble(f"--limit is 1 to {MOST}")
    with told.person() as person:
        rows = _rows(person, options, status=options.status, limit=options.limit)
    output.say("\n".join(map(_line, rows)) or "none", rows)
    return Exit.OK


def _rows(person: AgentWarden, options: argparse.Namespace, *, status: str | None, limit: int) -> list[dict[str, Any]]:
    query = {"mode": options.mode, "limit": str(limit), "status": status, "agent_id": options.agent}
    found = _get(person, "/api/approvals", **{name: value for name, value in query.items() if value})
    if not isinstance(found, list):
        raise Trouble("Warden answered something that is no list of approvals", Exit.FAILED)
    return found


def _get(client: AgentWarden, path: str, **query: str) -> Any:
    answer = client._run(client._core.exchange(Request("GET", path, params=query)))
    return decode(answer.body)


def _one(told: Configuration, approval_id: str) -> dict[str, Any]:
    """By the token, which sees all of the organization; else by the key, which sees its agent's own."""
    approval_path(approval_id)
    client, where = (told.person(), "api") if told.token else (told.client(), "sdk")
    with client:
        value: dict[str, Any] = _get(client, f"/{where}/approvals/{approval_id}")
    return value


def _watch_one(told: Configuration, approval_id: str, output: Output) -> Exit:
    with spinning("waiting for a decision", on=not output.as_json):
        if told.token:
            while (status := str(_one(told, approval_id)["status"])) == "pending":
                time.sleep(EVERY)
        else:
            with told.client() as guard:
                status = guard.wait_for_approval(approval_id).status
    value = _one(told, approval_id)
    output.say(_line(value), value)
    return ENDS.get(status, Exit.WAITING)


def _watch_all(told: Configuration, options: argparse.Namespace, output: Output) -> Exit:
    waiting: set[str] = set()
    with told.person(max_retries=20) as person:
        while True:
            rows = {row["id"]: row for row in _rows(person, options, status="pending", limit=MOST)}
            for approval_id in sorted(waiting - rows.keys()):
                ended = _get(person, f"/api/approvals/{approval_id}")
                if ended["status"] != "pending":  # else it is beyond the hundred newest
                    waiting.discard(approval_id)
                    output.say(_line(ended), ended)
            for approval_id in sorted(rows.keys() - waiting):
                output.say(_line(rows[approval_id]), rows[approval_id])
            waiting |= rows.keys()
            time.sleep(EVERY)


def _line(row: dict[str, Any]) -> str:
    agent = row.get("agent") or row["agent_id"]
    return f"{row['id']}  {row['status']:<9}  {agent}  {row['action']}  {_short(row.get('context'))}".rstrip()


def _short(context: Any) -> str:
    fields = context.items() if isinstance(context, dict) else ()
    return " ".join(f"{name}={value}" for name, value in fields)


def _story(row: dict[str, Any]) -> str:
    hidden = {"reviews", "receipt"}
    return "\n".join(f"{name:<18} {_told(value)}" for name, value in row.items() if name not in hidden and value)


def _told(value: Any) -> str:
    return _short(value) if isinstance(value, dict) else str(value)
