"""Deliveries: sent again by hand, and ended where nobody listens any more."""

from typing import Any

from django.db import transaction

from accounts.by import By, check_by, tell
from accounts.rules import Refused
from agents.models import Instance
from audit.clock import database_now
from audit.ids import show_id
from notifications import hints
from notifications.models import Delivery


def retry(*, delivery: Delivery, by: By) -> Delivery:
    """Has a message that waits, or was given up, sent now. Raises Refused for what was sent or is not needed."""
    with transaction.atomic():
        check_by(by, delivery.organization, "settings:write")
        fresh = Delivery.objects.select_for_update(of=("self",)).select_related("organization", "channel")
        delivery = fresh.get(pk=delivery.pk)
        if delivery.state == Delivery.State.SENT:
            raise Refused("This message was sent: sending it twice would tell it twice.")
        if delivery.state == Delivery.State.MOOT:
            raise Refused("Nobody needs this message any more: what it asked for is over.")
        if delivery.channel and not delivery.channel.is_active:
            raise Refused("The channel is disabled: enable it first.")
        now = database_now()
        if delivery.until and delivery.until <= now:
            raise Refused("The time in which this could be delivered is over: the client has to ask by itself.")
        values: dict[str, Any] = {"state": Delivery.State.DUE, "due_at": now}
        if delivery.channel:
            values["address"] = delivery.channel.address  # which may have been changed since
        if delivery.state == Delivery.State.FAILED:
            values["attempts"] = 0
        Delivery.objects.filter(pk=delivery.pk).update(**values)  # the lease of a worker that has it now stands
        tell(
            "delivery:retry",
            organization=delivery.organization,
            by=by,
            target=show_id("dlv", delivery.id),
            address=delivery.address,
            event=delivery.event,
        )
        hints.poke()
    delivery.refresh_from_db()
    return delivery


def end(*, instance: Instance, **_: Any) -> None:
    """Nothing more is sent to the receiver that this AAP instance had. A receiver of agents.signals."""
    Delivery.objects.filter(instance=instance, state=Delivery.State.DUE).update(
        state=Delivery.State.MOOT, leased_until=None, error=""
    )
