"""What of the record is let go when its time is over: whole months of events, never their place in the tree.

Per organization. First the log says so itself, in an event; once that is in order, the log begins at `first`, and what
is before it is deleted: an organization's own rows, or a month's partition where nobody keeps anything of it. Leaves'
hashes, tiles, checkpoints and keys stay, so that everything after is proved as before. Runs as the owner of the tables.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import OperationalError, connection, transaction

from audit.ids import show_id
from audit.leaf import SYSTEM
from audit.log import Leaf, Log
from audit.models import Event
from audit.record import record

log = structlog.get_logger(__name__)
KIND = "system:record:retention"
FLOOR = 6  # months, in the trigger of migration 0009 too
BATCH = 5_000  # events in one transaction
PATIENCE = 30.0  # seconds for the sequencer to put in order that something is let go
CUTOFF = """
SELECT date_trunc('month', (clock_timestamp() AT TIME ZONE 'UTC') - make_interval(months => %s)) AT TIME ZONE 'UTC'
"""
# The first that is kept: all before it are older, whatever order they were put in.
FIRST = """
SELECT coalesce((SELECT min(index) FROM audit_leaf WHERE log_id = %(log)s AND index >= %(from)s AND at >= %(cutoff)s),
                (SELECT max(size) FROM audit_checkpoint WHERE log_id = %(log)s), 0)
"""
# The months there are, each with its end.
MONTHS = """
SELECT c.relname, (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC'
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'audit_event'::regclass AND c.relname ~ '^audit_event_\\d{4}_\\d{2}$' ORDER BY 1
"""
DEFAULT = "audit_event_default"
OWN = "e.organization_id = %(organization)s AND e.mode = %(mode)s AND e.at < %(cutoff)s"
ANY = f"SELECT EXISTS (SELECT 1 FROM {{table}} e WHERE {OWN})"  # noqa: S608
DELETE = f"""
DELETE FROM {{table}} WHERE (id, at) IN (SELECT e.id, e.at FROM {{table}} e JOIN audit_leaf l ON l.event_id = e.id
WHERE {OWN} AND l.log_id = %(log)s AND l.index < %(first)s LIMIT %(batch)s)
"""  # noqa: S608
KEPT = """
SELECT EXISTS (SELECT 1 FROM {table} e
LEFT JOIN audit_leaf l ON l.event_id = e.id LEFT JOIN audit_log g ON g.id = l.log_id
WHERE l.event_id IS NULL OR l.index >= g.first OR NOT g.id = ANY(%(going)s))
"""


@dataclass(frozen=True, slots=True)
class Due:
    """What of one log is over: events from index `start` to before `first`, all older than `cutoff`."""

    log: Log
    start: int
    first: int
    cutoff: datetime

    @property
    def events(self) -> int:
        return self.first - self.start


def cutoffs(months: Mapping[uuid.UUID, int | None]) -> dict[uuid.UUID, datetime]:
    """From when on each organization keeps what it has, by the months it says. Who is not named keeps everything."""
    found = {}
    for organization_id, kept in months.items():
        if kept is not None and kept >= FLOOR:
            with connection.cursor() as cursor:
                cursor.execute(CUTOFF, [kept])
                found[organization_id] = cursor.fetchone()[0]
    return found


def _cutoffs(months: Mapping[uuid.UUID, int | None]) -> list[tuple[Log, datetime]]:
    """The logs of which something may go, and from when on each is kept."""
    kept = cutoffs(months)
    return [(each, kept[each.organization_id]) for each in Log.objects.filter(organization_id__in=kept).order_by("id")]


def due(months: Mapping[uuid.UUID, int | None]) -> list[Due]:
    """What is over, by the months that each organization keeps; None: a legal hold, nothing goes. Changes nothing."""
    found = []
    for each, cutoff in _cutoffs(months):
        with connection.cursor() as cursor:
            cursor.execute(FIRST, {"log": each.pk, "from": each.first, "cutoff": cutoff})
            (first,) = cursor.fetchone()
        if first > each.first:
            found.append(Due(each, each.first, first, cutoff))
    return found


def let_go(wanted: Due, *, patience: float = PATIENCE) -> bool:
    """Says in the log what goes, and begins it later once that is in order. False: no sequencer put it in order yet."""
    said = _said(wanted)
    end = time.monotonic() + patience
    while not Leaf.objects.filter(event_id=said.id).exists():
        if time.monotonic() > end:
            log.warning("record.retention_waits", origin=wanted.log.origin)
            return False
        time.sleep(0.2)
    return bool(Log.objects.filter(pk=wanted.log.pk, first__lt=wanted.first).update(first=wanted.first))


def _said(wanted: Due) -> Event:
    own = wanted.log
    before = Event.objects.filter(organization_id=own.organization_id, mode=own.mode, kind=KIND).order_by("-at").first()
    if before and before.data.get("first") == wanted.first:
        return before
    with transaction.atomic():
        return tell(
            KIND, own.organization_id, own.mode, wanted.cutoff, {"first": wanted.first, "events": wanted.events}
        )


def tell(kind: str, organization_id: uuid.UUID, mode: str, cutoff: datetime, counts: dict[str, int]) -> Event:
    """Has the record say how much of what is from before `cutoff` goes, in the transaction in which it does."""
    return record(
        kind=kind,
        organization_id=organization_id,
        mode=mode,  # type: ignore[arg-type]
        actor=SYSTEM,
        target=show_id("org", organization_id),
        data=counts | {"before": f"{cutoff:%Y-%m-%d}"},
    )


def sweep(
    months: Mapping[uuid.UUID, int | None], progress: Callable[[str, int], None] = lambda table, done: None
) -> tuple[int, list[str]]:
    """Deletes what is before the beginning of its log. How many events row by row, and which months as a whole.

    May be stopped at any time, and goes on where it was. Looks at no month of which nothing is over.
    """
    deleted, dropped = 0, []
    logs = [(each, cutoff) for each, cutoff in _cutoffs(months) if each.first]
    with connection.cursor() as cursor:
        cursor.execute(MONTHS)
        tables = [*cursor.fetchall(), (DEFAULT, None)]
    for table, end in tables:
        over = [(each, cutoff) for each, cutoff in logs if (end is None or end <= cutoff) and _has(table, each, cutoff)]
        going = [each.pk for each, cutoff in logs if end is None or end <= cutoff]
        if over and table != DEFAULT and _is_over(table, going) and _drop(table, going):
            dropped.append(table)
            progress(table, 0)
            continue
        for each, cutoff in over:
            for done in _delete(table, each, cutoff):
                deleted += done
                progress(table, deleted)
    if deleted or dropped:
        _forget_receipts()
    return deleted, dropped


def _own(each: Log, cutoff: datetime) -> dict[str, Any]:
    return {"organization": each.organization_id, "mode": each.mode, "cutoff": cutoff}


def _has(table: str, each: Log, cutoff: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(ANY.format(table=connection.ops.quote_name(table)), _own(each, cutoff))
        return bool(cursor.fetchone()[0])


def _is_over(table: str, going: list[int]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(KEPT.format(table=connection.ops.quote_name(table)), {"going": going})
        return not cursor.fetchone()[0]


def _drop(table: str, going: list[int]) -> bool:
    """Drops a month in which nobody keeps anything; False where somebody holds a lock: another day, then."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '3s'")
            cursor.execute("LOCK TABLE audit_event IN ACCESS EXCLUSIVE MODE")
            if not _is_over(table, going):
                return False
            cursor.execute(f"DROP TABLE {connection.ops.quote_name(table)}")
    except OperationalError as error:
        log.warning("record.retention_locked", table=table, error=str(error).strip())
        return False
    log.info("record.month_dropped", table=table)
    return True


def _delete(table: str, each: Log, cutoff: datetime) -> Iterator[int]:
    """Deletes what is over of one log in one month, some in each transaction."""
    values = _own(each, cutoff) | {"log": each.pk, "first": each.first, "batch": BATCH}
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('warden.retention', 'on', true)")
            cursor.execute(DELETE.format(table=connection.ops.quote_name(table)), values)
            done = cursor.rowcount
        if not done:
            return
        yield done


def _forget_receipts() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('warden.retention', 'on', true)")
        cursor.execute(
            "DELETE FROM audit_receipt r USING audit_leaf l, audit_log g"
            " WHERE l.event_id = r.event_id AND g.id = l.log_id AND l.index < g.first"
        )
