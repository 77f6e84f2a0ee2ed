"""How far streams are behind: what the page, the alert and the metrics tell."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from audit.log import Leaf, Log
from audit.sequenced import size_of
from notifications.models import Position, Stream

# The oldest event that a receiver has not taken is the one at the stream's position.
OLDEST = """
SELECT min(l.at) FROM notifications_stream s
JOIN notifications_position p ON p.stream_id = s.id
JOIN audit_log g ON g.organization_id = s.organization_id AND g.mode = p.scope
JOIN audit_leaf l ON l.log_id = g.id AND l.index = greatest(p.next_index, g.first)
WHERE s.paused_at IS NULL AND (%(organization)s::uuid IS NULL OR s.organization_id = %(organization)s)
  AND (%(mode)s = '' OR s.mode = %(mode)s)
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A stream in one log: `size` events there, `behind` of them not taken, the oldest of these `lag` seconds old."""

    position: Position
    size: int
    behind: int
    lag: float


def standings(stream: Stream, now: datetime) -> list[Standing]:
    """Where a stream stands in each of its logs."""
    return [_standing(stream, position, now) for position in stream.positions.all()]


def _standing(stream: Stream, position: Position, now: datetime) -> Standing:
    log = Log.objects.filter(organization_id=stream.organization_id, mode=position.scope).first()
    size = size_of(log)
    first = max(position.next_index, log.first) if log else position.next_index
    waiting = Leaf.objects.filter(log=log, index=first).first() if log else None
    lag = max((now - waiting.at).total_seconds(), 0.0) if waiting else 0.0
    return Standing(position, size, max(size - first, 0), lag)


def seconds(now: datetime, organization_id: uuid.UUID | None = None, mode: str = "") -> float:
    """The age of the oldest event that a stream which is not paused has yet to bring; 0 where there is none."""
    with connection.cursor() as cursor:
        cursor.execute(OLDEST, {"organization": organization_id, "mode": mode})
        (oldest,) = cursor.fetchone()
    return max((now - oldest).total_seconds(), 0.0) if oldest else 0.0


def failing() -> int:
    """How many streams that are not paused have a receiver that does not take what they bring."""
    return Stream.objects.filter(paused_at=None, failing_since__isnull=False).count()
