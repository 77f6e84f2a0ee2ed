"""Events in the order of their log, as they leave Warden: with index and leaf, and with their payload only if asked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import connection

from audit.canonical import canonical
from audit.leaf import read_body
from audit.log import Log

# What stays of an event's data where payloads are left out: who and what, never what an agent or a person wrote.
KEPT = ("caller", "callee", "code", "environment", "permission", "policy_version", "trace_id")
READ = """
SELECT l.index, e.leaf, e.body FROM audit_leaf l LEFT JOIN audit_event e ON e.id = l.event_id AND e.at = l.at
WHERE l.log_id = %s AND l.index >= %s AND l.index < %s ORDER BY l.index
"""


@dataclass(frozen=True)
class Sequenced:
    """One event at its place. `text` is its canonical body; empty where the event is not in the database any more."""

    origin: str
    mode: str
    index: int
    leaf: str
    text: str

    @cached_property
    def body(self) -> dict[str, Any]:
        """Empty where there is none, or somebody made it unreadable: warden-verify tells of that."""
        try:
            found = read_body(self.text) if self.text else {}
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def data(self) -> dict[str, Any]:
        data = self.body.get("data")
        return data if isinstance(data, dict) else {}

    @property
    def kept(self) -> dict[str, Any]:
        """What is told of its data in any case."""
        return {name: self.data[name] for name in KEPT if self.data.get(name) not in (None, "")}


def log_name(mode: str) -> str:
    """live, test or organization."""
    return mode or "organization"


def size_of(log: Log | None) -> int:
    """How many events of a log are signed; 0 where there is no log yet."""
    newest = log.checkpoints.order_by("-size").first() if log else None
    return newest.size if newest else 0


def read(log: Log, first: int, until: int) -> list[Sequenced]:
    """Events from index `first` to before `until`, those that there are."""
    with connection.cursor() as cursor:
        cursor.execute(READ, [log.pk, first, until])
        return list(of_rows(log, ((index, leaf, body) for index, leaf, body in cursor.fetchall())))


def of_rows(log: Log, rows: Iterable[tuple[int, bytes | None, str | None]]) -> Iterator[Sequenced]:
    """Of rows of index, leaf and body."""
    for index, leaf, body in rows:
        yield Sequenced(log.origin, log.mode, index, bytes(leaf or b"").hex(), body or "")


def json_line(event: Sequenced, *, payloads: bool) -> str:
    """`{"index": …, "leaf": …, "log": …, "origin": …, "event": …}`; with payloads, the event is the body as it is."""
    head = canonical({"log": log_name(event.mode), "origin": event.origin, "index": event.index, "leaf": event.leaf})
    if payloads or not event.body:
        said = event.text if event.body else "null"
    else:
        said = canonical(event.body | {"data": event.kept})
    return f'{head[:-1]},"event":{said}}}\n'
