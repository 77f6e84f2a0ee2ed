"""How far the order is behind the record, and whether anybody is putting it in order."""

import uuid
from datetime import datetime
from typing import Literal

from django.db import connection

from audit.log import Log, Sequencer

LATE = 60.0  # seconds
GONE = 10.0  # seconds without a sign of life

# The sequencer has been past everything below its cursor, and what was written by no transaction of this PostgreSQL yet
# came with a dump: only what is between may be waiting.
OLDEST = """
SELECT min(e.at) FROM audit_event e
WHERE e.written >= coalesce((SELECT xid::text FROM audit_sequencer), '0')::xid8
  AND e.written < pg_snapshot_xmax(pg_current_snapshot())
  AND (%(organization)s::uuid IS NULL OR e.organization_id = %(organization)s)
  AND NOT EXISTS (SELECT 1 FROM audit_leaf l WHERE l.event_id = e.id)
"""

# Up to when the record is known to be in order, for who decides by it; NULL: it is not what was signed, or never was.
ORDERED = "(SELECT CASE WHEN refusal = '' THEN least(waiting_since, beat_at) END FROM audit_sequencer)"

State = Literal["ok", "late", "stopped", "refused"]


def seconds(now: datetime, organization_id: uuid.UUID | None = None) -> float:
    """The age of the oldest event that has no index yet; of one organization, or of all."""
    with connection.cursor() as cursor:
        cursor.execute(OLDEST, {"organization": organization_id})
        (oldest,) = cursor.fetchone()
    return max((now - oldest).total_seconds(), 0.0) if oldest else 0.0


def is_late(ordered_at: datetime | None, now: datetime) -> bool:
    """Whether events may have waited for their order for longer than LATE, by ORDERED."""
    return ordered_at is None or (now - ordered_at).total_seconds() > LATE


def state(now: datetime) -> State:
    """`refused`: the record is not what was signed; `stopped`: events wait and no sequencer is at work; `late`: they
    wait for longer than LATE, though one is.
    """
    row = Sequencer.objects.first()
    if row and row.refusal:
        return "refused"
    behind = seconds(now)
    if behind > GONE and (row is None or row.beat_at is None or (now - row.beat_at).total_seconds() > GONE):
        return "stopped"
    return "late" if behind > LATE else "ok"


def broken(organization_id: uuid.UUID) -> int:
    """How many logs of an organization are not what was signed: all of them while the sequencer refuses to go on."""
    logs = Log.objects.filter(organization_id=organization_id)
    if refusal():
        return max(logs.count(), 1)
    last = [log.verifications.first() for log in logs]
    return sum(bool(each and each.problem) for each in last)


def refusal() -> str:
    """Why the sequencer does not go on; empty where it does."""
    return Sequencer.objects.values_list("refusal", flat=True).first() or ""
