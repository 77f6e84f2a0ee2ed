"""The receiver of an AAP instance is owed the news that one of its requests was decided: one event for one request.

The announcement commits with the decision. Who is told is worked out after it: nobody who was no receiver by then.
"""

import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

from agents.models import Instance
from approvals import states
from approvals.calls.intake import RESOLVED
from approvals.models import Approval, ToolCall
from audit.ids import read_id
from audit.leaf import timestamp
from notifications.models import Announcement, Delivery

ENDINGS = {f"approval.{state}" for state in states.FINAL}
WINDOW = timedelta(hours=168)  # from the decision, in which delivery is tried


def owed(announcement: Announcement) -> Iterator[Delivery]:
    """What the instance that asked is owed, where it has a receiver since before the decision."""
    call = _call(announcement)
    if call is None:
        return
    ended_at = _ended_at(call, announcement)
    instance = Instance.objects.filter(pk=call.key_id, delivery_since__lte=ended_at).first()
    if instance is None:
        return
    event = {
        "id": str(announcement.id),
        "type": "request.resolved",
        "instance_id": str(instance.pk),
        "request_id": str(call.id),
        "created_at": timestamp(ended_at),
    }
    yield Delivery(
        organization_id=announcement.organization_id,
        mode=announcement.mode,
        event=announcement.event,
        announcement=announcement,
        transport="aap",
        instance=instance,
        address=instance.delivery_url,
        text=json.dumps(event, separators=(",", ":")),
        until=ended_at + WINDOW,
    )


def _call(announcement: Announcement) -> ToolCall | None:
    call_id: uuid.UUID | None = None
    if announcement.event == RESOLVED:
        call_id = uuid.UUID(announcement.target)
    elif announcement.event in ENDINGS:
        call_id = read_id("apr", announcement.target)
    found = ToolCall.objects.filter(id__in=[call_id], organization_id=announcement.organization_id)
    return found.first() if call_id else None


def _ended_at(call: ToolCall, announcement: Announcement) -> datetime:
    """When it was decided, as its client reads it."""
    if call.decided_at:
        return call.decided_at
    approval = Approval.objects.only("state", "decided_at", "expires_at").get(id=call.id, by_aap=True)
    if approval.state == states.EXPIRED or approval.decided_at is None:
        return approval.expires_at
    return approval.decided_at
