"""Messages whose time is over: deliveries with their attempts, and the announcements that nobody is told any more.

What is still to be sent stays, however old.
"""

import uuid
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from audit.retention import tell
from notifications.models import Announcement, Delivery

KIND = "system:delivery:retention"
BATCH = 2_000  # rows in one transaction
MODES = ("live", "test")


def over(organization_id: uuid.UUID, mode: str, cutoff: datetime) -> QuerySet[Delivery]:
    """What was sent, given up or not needed any more before `cutoff`; the oldest first."""
    own = Delivery.objects.filter(organization_id=organization_id, mode=mode, created_at__lt=cutoff)
    return own.filter(Q(sent_at=None) | Q(sent_at__lt=cutoff)).exclude(state=Delivery.State.DUE).order_by("id")


def due(organization_id: uuid.UUID, cutoff: datetime) -> int:
    """How many deliveries are over. Changes nothing."""
    return sum(over(organization_id, mode, cutoff).count() for mode in MODES)


def let_go(organization_id: uuid.UUID, cutoff: datetime) -> int:
    """Deletes what is over, some in each transaction, and has the record say so. How many deliveries."""
    deleted = 0
    for mode in MODES:
        while done := _delete(organization_id, mode, cutoff):
            deleted += done
    while _forget_announcements(organization_id, cutoff):
        pass
    return deleted


def _delete(organization_id: uuid.UUID, mode: str, cutoff: datetime) -> int:
    with transaction.atomic():
        rows = over(organization_id, mode, cutoff).select_for_update(skip_locked=True)
        ids = list(rows.values_list("id", flat=True)[:BATCH])
        if ids:
            Delivery.objects.filter(pk__in=ids).delete()
            tell(KIND, organization_id, mode, cutoff, {"deliveries": len(ids)})
        return len(ids)


def _forget_announcements(organization_id: uuid.UUID, cutoff: datetime) -> int:
    """Of those that were worked out long ago, what has no delivery (any more)."""
    told = Delivery.objects.filter(announcement=OuterRef("pk"))
    own = Announcement.objects.filter(organization_id=organization_id, created_at__lt=cutoff, fanned_out_at__lt=cutoff)
    ids = list(own.filter(~Exists(told)).order_by("id").values_list("id", flat=True)[:BATCH])
    return Announcement.objects.filter(pk__in=ids).delete()[0]
