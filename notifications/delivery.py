"""From deliveries to messages sent: at least once, whoever crashes in between.

Every step takes its rows by a condition and with SKIP LOCKED, so that any number of workers may run it at once.
"""

import random
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet

from audit import spans
from audit.clock import database_now
from notifications import disabling, metrics, registry
from notifications.fanning import fan_out
from notifications.models import Attempt, Channel, Delivery
from notifications.transports import TransportError, email, receiver, slack, webhook

__all__ = ["deliver", "due", "fan_out", "send_due", "wait"]
log = structlog.get_logger(__name__)
TRANSPORTS: dict[str, Callable[[Delivery], str]] = {
    "email": email.send,
    "slack": slack.send,
    "webhook": webhook.send,
    "aap": receiver.send,
}
LEASE = timedelta(seconds=30)  # a worker that died holds a message no longer than this
ATTEMPTS = 12  # with the waits below: given up after about four hours
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)
DOUBLINGS = 20  # after which a wait has long been the longest
LONGEST_ASKED = timedelta(days=1)  # a Retry-After beyond this is not waited for
LAST = timedelta(seconds=receiver.PATIENCE + 1)  # an attempt that begins so long before `until` has ended by then
REST = timedelta(minutes=1)  # at most: what else is for a receiver that was not heard is not tried meanwhile
OTHERS = 5  # one in so many is sent because it is the longest due, be it the first of its announcement or not
SAID = 500  # characters of an answer that are kept


def due(limit: int = 200) -> list[uuid.UUID]:
    """Up to `limit` deliveries to send now that no worker holds.

    However long the queue is, somebody hears of each event before everybody hears of those before it: most of them are
    the first of their announcement, the longest due of them first. The rest are the longest due of all.
    """
    # What rested together comes back together: the oldest of it first, so that its attempts come to an end.
    ids = _sendable(database_now()).order_by("due_at", "id").values_list("id", flat=True)
    others = max(limit // OTHERS, 1)
    found = list(ids.filter(is_first=True)[: limit - others])
    return found + list(ids.exclude(id__in=found)[: limit - len(found)])


def send_due(limit: int = 25) -> int:
    """Sends up to `limit` of what is due. Returns how many it found; others may have been faster."""
    found = due(limit)
    for delivery_id in found:
        deliver(delivery_id)
    return len(found)


@spans.traced("delivery")
def deliver(delivery_id: uuid.UUID) -> bool:
    """Sends one message, unless it is sent, not due, or another worker holds it. Returns whether it was handed over.

    The lease and the attempt are committed before the message leaves, the result after: a worker that dies in between
    leaves a lease that ends, and the message goes out again.
    """
    delivery = _take(delivery_id)
    if delivery is None:
        return False
    started = time.monotonic()
    try:
        if _is_moot(delivery):
            _held(delivery).update(state=Delivery.State.MOOT, leased_until=None, error="")
            return False
        answer = _send(delivery)
    except TransportError as error:
        _failed(delivery, error, _milliseconds(started))
        return False
    with transaction.atomic():
        _attempted(delivery, _milliseconds(started), answer, succeeded=True)
        _held(delivery).update(state=Delivery.State.SENT, sent_at=database_now(), leased_until=None, error="")
    metrics.attempted(delivery, "sent")
    return True


def wait(attempts: int) -> timedelta:
    """How long after that many failed attempts: doubling, at most an hour, each with jitter between half and all."""
    longest: timedelta = min(FIRST_WAIT * 2 ** min(attempts - 1, DOUBLINGS), LONGEST_WAIT)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def _send(delivery: Delivery) -> str:
    if delivery.transport not in TRANSPORTS:
        raise TransportError(f"Nothing here sends by {delivery.transport}.", permanent=True)
    if delivery.channel is not None and not delivery.channel.is_active:
        raise TransportError("The channel is disabled. Enable it, then retry.", permanent=True)
    try:
        return TRANSPORTS[delivery.transport](delivery)
    except TransportError:
        raise
    except Exception as error:  # ours to mend; until then it is tried again, and seen in the delivery log
        log.exception("a transport failed", delivery=str(delivery.id))
        raise TransportError(f"Warden could not make the message ({type(error).__name__}).") from error


def _is_moot(delivery: Delivery) -> bool:
    """Whether it would ask people for what is over meanwhile. Machines are told in any case, while they listen."""
    if delivery.transport == "aap":
        return delivery.instance is None or not delivery.instance.delivery_url
    topic = registry.topic_of(delivery.event)
    if topic is None or delivery.transport == "webhook" or _is_card(delivery):
        return False
    try:
        return topic.is_past(delivery.announcement)
    except Exception as error:
        log.exception("facts failed", delivery=str(delivery.id))
        raise TransportError(f"Warden could not make the message ({type(error).__name__}).") from error


def _is_card(delivery: Delivery) -> bool:
    """Whether it brings a card in Slack up to date, which is most needed when the request is over."""
    return delivery.transport == "slack" and registry.card_of(delivery.event) is not None


def _failed(delivery: Delivery, error: TransportError, milliseconds: int) -> None:
    """Keeps the answer; waits, gives up, and disables the channel where the other side wants no more."""
    said = str(error)[:SAID]
    with transaction.atomic():
        pause = max(wait(delivery.attempts), min(error.retry_after or timedelta(), LONGEST_ASKED))
        due_at = database_now() + pause
        given_up = error.permanent or (
            delivery.attempts >= ATTEMPTS if delivery.until is None else due_at > delivery.until - LAST
        )
        unheard = error.silent and error.retry_after is None and delivery.transport == "webhook"
        ended = delivery.channel_id if error.disable or (given_up and unheard) else None
        if ended:  # before what it is owed, as whoever changes or deletes it: the other way round they deadlock
            Channel.objects.select_for_update(of=("self",)).filter(id=ended).first()
        if given_up:
            mine = _held(delivery).update(state=Delivery.State.FAILED, leased_until=None, error=said)
        else:
            mine = _held(delivery).update(due_at=due_at, leased_until=None, error=said)
        if mine and delivery.is_first:  # so nobody was told by it: whoever else is to hear of this comes as early
            others = Delivery.objects.filter(announcement=delivery.announcement_id, state=Delivery.State.DUE)
            others.filter(is_first=False).update(is_first=True)
        if mine and error.silent:  # each attempt may keep a worker, whom others need
            _rest(delivery, database_now() + min(pause, REST))
        if mine and ended:
            disabling.disable(ended, address=delivery.address, because=said)
        _attempted(delivery, milliseconds, said, succeeded=False)
    metrics.attempted(delivery, "given_up" if given_up else "failed")
    if given_up:
        log.warning("a message was given up", delivery=str(delivery.id), error=said)


def _rest(delivery: Delivery, until: datetime) -> None:
    """Has what else is for the receiver of this message wait until then: an instance's, a channel's, Slack's, or the
    one mail server."""
    same = {
        "aap": Q(instance=delivery.instance_id),
        "webhook": Q(channel=delivery.channel_id),
        "slack": Q(organization=delivery.organization_id),
    }.get(delivery.transport, Q())
    others = Delivery.objects.filter(same, transport=delivery.transport, state=Delivery.State.DUE, due_at__lt=until)
    free = others.filter(leased_until=None).select_for_update(skip_locked=True)
    Delivery.objects.filter(id__in=list(free.values_list("id", flat=True))).update(due_at=until)


def _attempted(delivery: Delivery, milliseconds: int, answer: str, *, succeeded: bool) -> None:
    Attempt.objects.create(delivery=delivery, milliseconds=milliseconds, succeeded=succeeded, answer=answer[:SAID])


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1_000)


def _held(delivery: Delivery) -> QuerySet[Delivery]:
    """The row, while our lease on it holds."""
    return Delivery.objects.filter(id=delivery.id, state=Delivery.State.DUE, leased_until=delivery.leased_until)


def _sendable(now: datetime) -> QuerySet[Delivery]:
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    return Delivery.objects.filter(free, state=Delivery.State.DUE, due_at__lte=now)


@transaction.atomic
def _take(delivery_id: uuid.UUID) -> Delivery | None:
    now = database_now()
    sendable = _sendable(now).select_for_update(skip_locked=True, of=("self",)).filter(id=delivery_id)
    delivery = sendable.select_related("announcement", "channel", "instance").first()
    if delivery is None:
        return None
    over = delivery.attempts >= ATTEMPTS if delivery.until is None else now > delivery.until - LAST
    if over:  # every worker that took it died of it, or none was there in time
        Delivery.objects.filter(id=delivery_id).update(
            state=Delivery.State.FAILED, leased_until=None, error="Every attempt ended without an answer."
        )
        return None
    delivery.attempts, delivery.leased_until = delivery.attempts + 1, now + LEASE
    Delivery.objects.filter(id=delivery_id).update(attempts=F("attempts") + 1, leased_until=delivery.leased_until)
    return delivery
