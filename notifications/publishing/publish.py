"""Publishes the newest checkpoint of each log, to each place, once a period: at least once, whoever crashes between."""

import time
import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import DateTimeField, Min, Q, Value
from django.db.models.functions import Coalesce

from audit.clock import database_now
from audit.log import Checkpoint
from notifications.models import Publication
from notifications.publishing.ways import NotPublished, configured

log = structlog.get_logger(__name__)
TURN = 20.0  # seconds: what else the worker has to do waits no longer
CLAIM = timedelta(seconds=60)  # longer than any attempt takes
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(minutes=15)
SAID = 500
# Logs whose newest checkpoint is not there yet, and that nobody is at.
DUE = """
SELECT g.id, c.size FROM audit_log g
CROSS JOIN LATERAL (SELECT size FROM audit_checkpoint WHERE log_id = g.id ORDER BY size DESC LIMIT 1) c
LEFT JOIN notifications_publication p ON p.log_id = g.id AND p.way = %(way)s
WHERE c.size > coalesce(p.size, 0) AND (%(all)s OR coalesce(p.due_at, '-infinity') <= %(now)s)
ORDER BY p.due_at NULLS FIRST, g.id LIMIT 1
"""


class Published(NamedTuple):
    """What came of one attempt; `error` is empty where it got there."""

    origin: str
    way: str
    size: int
    error: str


def publish_due(*, everything: bool = False) -> list[Published]:
    """Publishes what is due, or `everything` that is not there yet. A place that fails once is left for this turn."""
    done = []
    until = time.monotonic() + TURN
    for way in configured():
        while (everything or time.monotonic() < until) and (found := _claimed(way, everything=everything)):
            done.append(_publish(*found))
            if done[-1].error:
                break
    return done


def _claimed(way: str, *, everything: bool) -> tuple[Publication, Checkpoint] | None:
    """The next log that is due, claimed, with its newest checkpoint."""
    now = database_now()
    with connection.cursor() as cursor:
        cursor.execute(DUE, {"way": way, "now": now, "all": everything})
        found = cursor.fetchone()
    if not found:
        return None
    row, _ = Publication.objects.get_or_create(log_id=found[0], way=way, defaults={"due_at": now})
    claimed = Publication.objects.filter(pk=row.pk, due_at=row.due_at, size=row.size).update(due_at=now + CLAIM)
    if not claimed:
        return None  # somebody was faster
    row.due_at = now + CLAIM
    return row, Checkpoint.objects.select_related("log").get(log_id=found[0], size=found[1])


def _publish(row: Publication, head: Checkpoint) -> Published:
    try:
        configured()[row.way](head)
    except NotPublished as error:
        return _failed(row, head, str(error))
    except Exception as error:  # ours to mend; until then it is tried again, and seen on the page
        log.exception("publication.failed", way=row.way)
        return _failed(row, head, f"Warden could not publish it ({type(error).__name__}).")
    now = database_now()
    Publication.objects.filter(pk=row.pk, size__lte=head.size).update(
        size=head.size,
        published_at=now,
        due_at=now + timedelta(seconds=settings.CHECKPOINT_SECONDS),
        attempts=0,
        error="",
        failing_since=None,
    )
    return Published(head.log.origin, row.way, head.size, "")


def _failed(row: Publication, head: Checkpoint, said: str) -> Published:
    now = database_now()
    wait = min(FIRST_WAIT * 2 ** min(row.attempts, 10), LONGEST_WAIT)
    Publication.objects.filter(pk=row.pk).update(
        due_at=now + wait,
        attempts=row.attempts + 1,
        error=said[:SAID],
        failing_since=Coalesce("failing_since", Value(now), output_field=DateTimeField()),
    )
    log.warning("publication.failing", way=row.way, origin=head.log.origin, error=said)
    return Published(head.log.origin, row.way, head.size, said)


def failing_for(now: datetime, organization_id: uuid.UUID | None = None) -> float:
    """For how many seconds a checkpoint could not be published, at a place that is still set."""
    rows = Publication.objects.filter(Q(way__in=configured()), failing_since__isnull=False)
    if organization_id:
        rows = rows.filter(log__organization_id=organization_id)
    since = rows.aggregate(since=Min("failing_since"))["since"]
    return max((now - since).total_seconds(), 0.0) if since else 0.0


def publications(organization_id: uuid.UUID, mode: str) -> list[Publication]:
    """What was published of an organization's logs in a mode, at places that are still set."""
    rows = Publication.objects.filter(way__in=configured(), log__organization_id=organization_id)
    return list(rows.filter(log__mode__in=[mode, ""]).select_related("log").order_by("way", "-log__mode"))
