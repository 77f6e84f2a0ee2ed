"""A channel that wants no more is switched off, and the admins are told."""

import uuid
from typing import Any

from django.conf import settings
from django.db import connection
from django.urls import reverse

from accounts.models import User
from audit.clock import database_now
from audit.ids import read_id, show_id
from audit.leaf import SYSTEM
from audit.record import record
from notifications import hints, registry
from notifications.letters import letter, plain
from notifications.models import Announcement, Channel
from notifications.outbox import announce

EVENT = "channel.disabled"


def disable(channel_id: uuid.UUID, *, address: str, because: str) -> bool:
    """Switches a channel off, unless it is off or was given another address meanwhile. Returns whether it was on.

    Must run in a transaction: the event and the news commit with it.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("disable() outside a transaction")
    because = because[:500]
    changed = Channel.objects.filter(id=channel_id, is_active=True, address=address).update(
        is_active=False, disabled_at=database_now(), disabled_because=because
    )
    if not changed:
        return False
    channel = Channel.objects.get(id=channel_id)
    target = show_id("chn", channel.id)
    record(
        kind="system:channel:disable",
        organization_id=channel.organization_id,
        actor=SYSTEM,
        target=target,
        data={"name": channel.name, "because": because},
    )
    announce([(channel.organization_id, channel.mode, EVENT, target)])
    hints.poke()
    return True


class ChannelTopic(registry.Topic):
    """News of a channel itself: that it is off, to the admins by mail; a test, to itself alone."""

    def facts(self, announcement: Announcement) -> registry.Facts | None:
        channel = _channel(announcement)
        if channel is None:
            return None
        if announcement.event == "channel.test":
            return registry.Facts(channels=frozenset({channel.id}))
        if channel.is_active:
            return None
        admins = registry.members_who(announcement.organization, "settings:write")
        return registry.Facts(people=admins, channels=frozenset())

    def mail(self, announcement: Announcement, person: User | None) -> registry.Mail:
        channel = _channel(announcement)
        if channel is None:
            raise LookupError(f"{announcement.target} is gone")
        name = plain(channel.name)
        if announcement.event == "channel.test":
            return letter(
                subject=f"A test of {name}",
                opening=f"This is a test: the channel {name} of {plain(announcement.organization.name)} works.",
                facts={},
                links=[("Open Warden", settings.SITE_URL)],
                test=channel.mode == "test",
            )
        link = settings.SITE_URL + reverse("notifications:channel", args=[announcement.target])
        return letter(
            subject=f"{name} is disabled: Warden cannot reach it",
            opening=f"Nothing more is sent to the channel {name} until somebody mends and enables it.",
            facts={"Channel": name, "Kind": channel.get_transport_display(), "Why": plain(channel.disabled_because)},
            links=[("Open the channel", link)],
            notes=[f"You get this because you look after {plain(announcement.organization.name)}."],
            test=channel.mode == "test",
        )

    def webhook(self, announcement: Announcement) -> dict[str, Any]:
        return {
            "id": announcement.target,
            "mode": announcement.mode,
            "message": "A test from Warden: this channel works.",
        }


def _channel(announcement: Announcement) -> Channel | None:
    return Channel.objects.filter(
        id__in=[read_id("chn", announcement.target)], organization_id=announcement.organization_id
    ).first()
