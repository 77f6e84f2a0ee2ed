"""Which organization keeps the record for how long, for audit.retention, which knows no organizations."""

import uuid
from typing import Any, NamedTuple

from accounts.models import Organization
from audit import retention
from audit.retention import Due


class Outcome(NamedTuple):
    """Logs that begin later now, those that wait for the sequencer, and the events and months that were deleted."""

    gone: list[Due]
    waiting: list[Due]
    events: int
    months: list[str]


def months() -> dict[uuid.UUID, int | None]:
    """For how long each organization keeps the record; None: nothing goes."""
    rows = Organization.objects.values_list("id", "retention_months", "legal_hold")
    return {key: None if held else kept for key, kept, held in rows}


def due() -> list[Due]:
    """What is over now."""
    return retention.due(months())


def apply(**options: Any) -> Outcome:
    """Lets go what is over. `options`: see retention.let_go and retention.sweep."""
    progress = {"progress": options.pop("progress")} if "progress" in options else {}
    gone: list[Due] = []
    waiting: list[Due] = []
    for each in due():
        (gone if retention.let_go(each, **options) else waiting).append(each)
    events, dropped = retention.sweep(months(), **progress)
    return Outcome(gone, waiting, events, dropped)


def facts(each: Due) -> dict[str, Any]:
    """One log's, for scripts."""
    return {"origin": each.log.origin, "events": each.events, "first": each.first, "before": f"{each.cutoff:%Y-%m-%d}"}


def words(each: Due) -> str:
    return f"{each.log.origin}: {each.events} events from before {each.cutoff:%Y-%m-%d}; it begins at {each.first} then"
