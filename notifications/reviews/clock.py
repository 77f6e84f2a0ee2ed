"""When people are reminded of a review: two weeks before it is due, on the day, and each week until it is signed."""

from datetime import datetime, timedelta

from django.db import transaction

from agents.models import Agent, ReviewReminder, Stop
from agents.review import AUDIT, due
from agents.services.writing import public_id
from audit.clock import database_now
from notifications import hints
from notifications.outbox import announce

AHEAD = timedelta(days=14)
AGAIN = timedelta(days=7)
EVENT = "review.due"
EVERYTHING = Stop.objects.filter(agent=None, pattern="", released_at=None)


def next_reminder(due_at: datetime, last: datetime | None) -> datetime:
    """When the next reminder of a review that is due at `due_at` goes out, the last one having been sent at `last`."""
    first = due_at - AHEAD
    if last is None or last < first:  # the last one was of the review before this
        return first
    return due_at if last < due_at else last + AGAIN


def remind_due(limit: int = 100) -> int:
    """Reminds of up to `limit` agents' reviews, unless their organization is stopped. Returns how many.

    The agent's row is locked, so that two sweeps send one reminder.
    """
    with transaction.atomic():
        now = database_now()
        rows = (
            Agent.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
            .select_related("review_reminder")
            .filter(deleted_at=None, created_at__lte=now - AUDIT + AHEAD)
            .exclude(organization_id__in=EVERYTHING.values("organization_id"))
            .exclude(last_audited_at__gt=now - AUDIT + AHEAD)
            .exclude(review_reminder__sent_at__gt=now - AGAIN)
        )
        found = [row for row in rows[:limit] if next_reminder(due(row), _last(row)) <= now]
        for row in found:
            ReviewReminder.objects.update_or_create(agent=row, defaults={"sent_at": now})
        announce((row.organization_id, "live", EVENT, public_id(row)) for row in found)
        if found:
            hints.poke()
        return len(found)


def _last(row: Agent) -> datetime | None:
    return row.review_reminder.sent_at if hasattr(row, "review_reminder") else None
