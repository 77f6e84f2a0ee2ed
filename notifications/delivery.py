"""From announcements to deliveries to messages sent: at least once, whoever crashes in between.

Every step takes its rows by a condition and with SKIP LOCKED, so that any number of workers may run it at once.
"""

import random
import uuid
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet

from audit.clock import database_now
from notifications import metrics, registry
from notifications.models import Announcement, Delivery
from notifications.transports import TransportError, email

log = structlog.get_logger(__name__)
TRANSPORTS = {"email": email.send}
LEASE = timedelta(seconds=30)  # a worker that died holds a message no longer than this
ATTEMPTS = 12  # with the waits below: given up after about four hours
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)


def fan_out(limit: int = 100) -> int:
    """Turns up to `limit` announcements into deliveries. Returns how many; one that fails waits for the next sweep."""
    due = Announcement.objects.filter(fanned_out_at=None).order_by("id").values_list("id", flat=True)
    return sum(_fan_out(announcement_id) for announcement_id in list(due[:limit]))


def _fan_out(announcement_id: uuid.UUID) -> bool:
    """The deliveries and `fanned_out_at` commit together: nothing is owed twice, or never."""
    try:
        with transaction.atomic():
            unclaimed = Announcement.objects.select_for_update(skip_locked=True).filter(fanned_out_at=None)
            announcement = unclaimed.filter(id=announcement_id).first()
            if announcement is None:
                return False
            Delivery.objects.bulk_create(
                [
                    Delivery(
                        organization_id=announcement.organization_id,
                        mode=announcement.mode,
                        event=announcement.event,
                        announcement=announcement,
                        transport=message.transport,
                        address=message.address,
                        subject=message.subject[:200],
                        text=message.text,
                    )
                    for message in registry.messages(announcement)
                ],
                ignore_conflicts=True,
            )
            Announcement.objects.filter(id=announcement.id).update(fanned_out_at=database_now())
    except Exception:  # whatever is wrong with one must not keep the others from being told
        log.exception("an announcement could not be worked out", announcement=str(announcement_id))
        return False
    return True


def due(limit: int = 200) -> list[uuid.UUID]:
    """Deliveries to send now that no worker holds, longest due first."""
    return list(_sendable(database_now()).order_by("due_at").values_list("id", flat=True)[:limit])


def deliver(delivery_id: uuid.UUID) -> bool:
    """Sends one message, unless it is sent, not due, or another worker holds it. Returns whether it was handed over.

    The lease and the attempt are committed before the message leaves, the result after: a worker that dies in between
    leaves a lease that ends, and the message goes out again.
    """
    delivery = _take(delivery_id)
    if delivery is None:
        return False
    held = Delivery.objects.filter(id=delivery.id, state=Delivery.State.DUE, leased_until=delivery.leased_until)
    try:
        TRANSPORTS[delivery.transport](delivery)
    except TransportError as error:
        now = database_now()
        given_up = error.permanent or delivery.attempts >= ATTEMPTS
        metrics.attempted(delivery, "given_up" if given_up else "failed")
        if given_up:
            held.update(state=Delivery.State.FAILED, leased_until=None, error=str(error)[:500])
            log.warning("a message was given up", delivery=str(delivery.id), error=str(error))
        else:
            held.update(due_at=now + wait(delivery.attempts), leased_until=None, error=str(error)[:500])
        return False
    held.update(state=Delivery.State.SENT, sent_at=database_now(), leased_until=None, error="")
    metrics.attempted(delivery, "sent")
    return True


def wait(attempts: int) -> timedelta:
    """How long after that many failed attempts: doubling, at most an hour, each with jitter between half and all."""
    longest: timedelta = min(FIRST_WAIT * 2 ** (attempts - 1), LONGEST_WAIT)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def _sendable(now: datetime) -> QuerySet[Delivery]:
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    return Delivery.objects.filter(free, state=Delivery.State.DUE, due_at__lte=now)


@transaction.atomic
def _take(delivery_id: uuid.UUID) -> Delivery | None:
    now = database_now()
    delivery = _sendable(now).select_for_update(skip_locked=True).filter(id=delivery_id).first()
    if delivery is None:
        return None
    if delivery.attempts >= ATTEMPTS:  # every worker that took it died of it
        Delivery.objects.filter(id=delivery_id).update(
            state=Delivery.State.FAILED, leased_until=None, error="Every attempt ended without an answer."
        )
        return None
    delivery.attempts, delivery.leased_until = delivery.attempts + 1, now + LEASE
    Delivery.objects.filter(id=delivery_id).update(attempts=F("attempts") + 1, leased_until=delivery.leased_until)
    return delivery
