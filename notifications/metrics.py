"""How messages fare, and how old the oldest is that is still owed."""

from datetime import datetime, timedelta

import structlog
from django.db.models import Min
from prometheus_client import Counter

from notifications.models import Announcement, Delivery

log = structlog.get_logger(__name__)
DELIVERIES = Counter(
    "agentwarden_deliveries_total",
    "Attempts to hand a live message over: sent, failed (and tried again later) or given_up",
    ["transport", "result"],
)
for _transport in Delivery._meta.get_field("transport").choices or ():
    for _result in ("sent", "failed", "given_up"):
        DELIVERIES.labels(str(_transport[0]), _result)  # so that the first of them is seen to be one more


def attempted(delivery: Delivery, result: str) -> None:
    """Counts one attempt. A count that fails never fails what it counts."""
    if delivery.mode == "live":
        try:
            DELIVERIES.labels(delivery.transport, result).inc()
        except OSError as error:  # no room for the shared file
            log.warning("a delivery was not counted", error=type(error).__name__)


def queue_ages(now: datetime) -> dict[str, timedelta]:
    """How long the oldest announcement waits to be worked out, and the oldest message past its time to be sent."""
    announced = Announcement.objects.filter(fanned_out_at=None).aggregate(at=Min("created_at"))["at"]
    due = Delivery.objects.filter(state=Delivery.State.DUE, due_at__lte=now).aggregate(at=Min("due_at"))["at"]
    return {
        "announcements": max(now - announced, timedelta()) if announced else timedelta(),
        "deliveries": max(now - due, timedelta()) if due else timedelta(),
    }
