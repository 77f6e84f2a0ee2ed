"""From what happened to who is owed a message: people by their preferences, channels by their filters."""

import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime

import structlog
from django.db import transaction

from audit.clock import database_now
from audit.leaf import timestamp
from notifications import preferences, registry
from notifications.channels import channels_for
from notifications.models import Announcement, Channel, Delivery, Preference
from notifications.slack import cards

log = structlog.get_logger(__name__)


def fan_out(limit: int = 100) -> int:
    """Turns up to `limit` announcements into deliveries. Returns how many.

    One that fails waits for the next sweep; however many fail, those behind them are reached.
    """
    due = Announcement.objects.filter(fanned_out_at=None).order_by("id").values_list("id", flat=True)
    found, done = list(due[:limit]), 0
    while found and not done:
        done = sum(map(_fan_out, found))
        found = list(due.filter(id__gt=found[-1])[:limit])
    return done


def _fan_out(announcement_id: uuid.UUID) -> bool:
    """The deliveries and `fanned_out_at` commit together: nothing is owed twice, or never."""
    try:
        with transaction.atomic():
            unclaimed = Announcement.objects.select_for_update(skip_locked=True).filter(fanned_out_at=None)
            announcement = unclaimed.filter(id=announcement_id).first()
            if announcement is None:
                return False
            now = database_now()
            deliveries = owed(announcement, now)
            mark_first(deliveries, now)
            Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
            Announcement.objects.filter(id=announcement.id).update(fanned_out_at=now)
    except Exception:  # whatever is wrong with one must not keep the others from being told
        log.exception("an announcement could not be worked out", announcement=str(announcement_id))
        return False
    return True


def owed(announcement: Announcement, now: datetime) -> list[Delivery]:
    """Everything owed for an announcement; nothing where nobody registered for it."""
    further = registry.further(announcement)
    topic = registry.topic_of(announcement.event)
    facts = topic.facts(announcement) if topic else None
    if topic is None or facts is None:
        return further
    found = [to_channel(channel, announcement, topic) for channel in _channels(announcement, facts)]
    if not facts.is_past:
        found += _to_people(announcement, topic, facts, now)
    return found + cards.owed(announcement, found) + further


def mark_first(deliveries: Sequence[Delivery], now: datetime) -> None:
    """Marks which of an announcement's messages is sent first: one to a person who is not to be left in peace now,
    else one to a channel that people read, else any."""

    def place(delivery: Delivery) -> tuple[bool, bool, bool]:
        later = isinstance(delivery.due_at, datetime) and delivery.due_at > now
        return later, delivery.transport == "webhook", delivery.channel is not None

    first = min(deliveries, key=place, default=None)
    for delivery in deliveries:
        delivery.is_first = delivery is first


def _channels(announcement: Announcement, facts: registry.Facts) -> Iterator[Channel]:
    for channel in channels_for(announcement, facts):
        if channel.transport == "webhook" or not facts.is_past:
            yield channel


def to_channel(channel: Channel, announcement: Announcement, topic: registry.Topic) -> Delivery:
    """What one channel is owed. A webhook's body is fixed here, byte for byte; a Slack card is drawn when sent."""
    delivery = _delivery(announcement, channel.transport, channel.address)
    delivery.channel = channel
    if channel.transport == "webhook":
        body = {
            "event": announcement.event,
            "data": topic.webhook(announcement),
            "timestamp": timestamp(announcement.created_at),
        }
        delivery.text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return delivery
    return _written(delivery, topic.mail(announcement, None))


def _to_people(
    announcement: Announcement, topic: registry.Topic, facts: registry.Facts, now: datetime
) -> Iterator[Delivery]:
    chosen = {row.membership_id: row for row in Preference.objects.filter(membership__in=facts.people)}
    for member in facts.people:
        preference = chosen.get(member.pk) or Preference(membership=member)
        when = preferences.when(
            preference, mode=announcement.mode, urgent=facts.is_urgent, in_digest=facts.in_digest, now=now
        )
        if isinstance(when, datetime):
            delivery = _delivery(announcement, "email", member.user.email)
            delivery.due_at = when
            yield _written(delivery, topic.mail(announcement, member.user))


def _delivery(announcement: Announcement, transport: str, address: str) -> Delivery:
    return Delivery(
        organization_id=announcement.organization_id,
        mode=announcement.mode,
        event=announcement.event,
        announcement=announcement,
        transport=transport,
        address=address,
    )


def _written(delivery: Delivery, mail: registry.Mail) -> Delivery:
    delivery.subject, delivery.text, delivery.html = mail.subject[:200], mail.text, mail.html
    return delivery
