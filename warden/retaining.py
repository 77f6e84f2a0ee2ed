"""Which organization keeps what it has for how long: the record, for audit.retention, which knows no organizations;
then requests and messages, of which the record tells nothing any more.
"""

import uuid
from typing import Any, NamedTuple

from accounts.models import Organization
from approvals import retention as requests
from audit import retention
from audit.retention import Due
from notifications import retention as messages


class Outcome(NamedTuple):
    """Logs that begin later now, those that wait for the sequencer, and the events, months, requests and deliveries
    that were deleted.
    """

    gone: list[Due]
    waiting: list[Due]
    events: int
    months: list[str]
    requests: int
    deliveries: int


class Over(NamedTuple):
    """What is over of an organization besides its record."""

    organization: str
    before: str
    requests: int
    deliveries: int


def months() -> dict[uuid.UUID, int | None]:
    """For how long each organization keeps what it has; None: nothing goes."""
    rows = Organization.objects.values_list("id", "retention_months", "legal_hold")
    return {key: None if held else kept for key, kept, held in rows}


def due() -> list[Due]:
    """What of the record is over now."""
    return retention.due(months())


def besides() -> list[Over]:
    """What else is over now. It goes when the events about it have gone."""
    slugs = dict(Organization.objects.values_list("id", "slug"))
    found = [
        Over(slugs[key], f"{cutoff:%Y-%m-%d}", requests.due(key, cutoff), messages.due(key, cutoff))
        for key, cutoff in retention.cutoffs(months()).items()
    ]
    return [each for each in found if each.requests or each.deliveries]


def apply(**options: Any) -> Outcome:
    """Lets go what is over. `options`: see retention.let_go and retention.sweep."""
    progress = {"progress": options.pop("progress")} if "progress" in options else {}
    gone: list[Due] = []
    waiting: list[Due] = []
    for each in due():
        (gone if retention.let_go(each, **options) else waiting).append(each)
    events, dropped = retention.sweep(months(), **progress)
    counts = [
        (requests.let_go(key, cutoff), messages.let_go(key, cutoff))
        for key, cutoff in retention.cutoffs(months()).items()
    ]
    return Outcome(gone, waiting, events, dropped, sum(a for a, _ in counts), sum(b for _, b in counts))


def facts(each: Due) -> dict[str, Any]:
    """One log's, for scripts."""
    return {"origin": each.log.origin, "events": each.events, "first": each.first, "before": f"{each.cutoff:%Y-%m-%d}"}


def words(each: Due) -> str:
    return f"{each.log.origin}: {each.events} events from before {each.cutoff:%Y-%m-%d}; it begins at {each.first} then"
