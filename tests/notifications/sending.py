"""What tests of messages share: time that passes, one sweep without Celery, a channel."""

from datetime import timedelta
from typing import Any

from django.db import transaction

from accounts.by import COMMAND_LINE
from approvals.models import Approval
from audit.clock import database_now
from notifications import delivery
from notifications.models import Channel, Delivery
from notifications.outbox import announce
from notifications.services import channels
from tests import factories
from tests.approvals.conftest import Acme


def told(approval: Approval, event: str = "approval.requested") -> Approval:
    """Announces it, as those who change approvals do."""
    with transaction.atomic():
        announce([(approval.organization_id, approval.mode, event, approval.approval_id)])
    return approval


def requested(acme: Acme, **fields: Any) -> Approval:
    return told(factories.an_approval(agent=acme.bot, **fields))


def send_all() -> int:
    """One sweep, without Celery in between. Returns how many were handed over."""
    while delivery.fan_out():
        pass
    return sum(delivery.deliver(delivery_id) for delivery_id in delivery.due())


def make_due() -> None:
    """Time passes: every wait and every lease is over."""
    past = database_now() - timedelta(seconds=1)
    Delivery.objects.filter(state="due").update(due_at=past)
    Delivery.objects.exclude(leased_until=None).update(leased_until=past)


def a_channel(acme: Acme, transport: str = "webhook", address: str = "", **fields: Any) -> tuple[Channel, str]:
    """A channel that hears of everything, unless `fields` say otherwise, and its secret."""
    values = {"mode": "live", "name": f"{transport} {Channel.objects.count() + 1}"} | fields
    return channels.create(
        organization=acme.organization,
        transport=transport,
        address=address or "ops@example.com",
        by=COMMAND_LINE,
        **values,
    )
