"""The context of a request as a person sees it: what is encrypted, decrypted for who decides, and that recorded."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from accounts.models import Membership
from approvals.models import Approval
from audit.leaf import Entry
from audit.models import Event
from audit.record import record_all
from audit.sealing import ENCRYPTED, marked_as_erased, marks
from audit.subjects import keys_left, reveal_for_people

ABILITY = "approvals:decide"
KIND = "person:approval:reveal"
AGAIN = timedelta(hours=1)  # within it, looking again is the same look


@dataclass(frozen=True, slots=True)
class Shown:
    """`opened` are the fields that were decrypted, `closed` those that were not, each with why."""

    context: dict[str, Any]
    opened: list[str]
    closed: list[tuple[str, str]]
    may_open: bool


def shown(approval: Approval, membership: Membership, now: datetime) -> Shown:
    """The context for this person, as of `now`, the database's clock."""
    stored, may_open = approval.context_data, membership.may(ABILITY)
    if not approval.is_covered:
        return Shown(stored, [], [], may_open)
    if may_open:
        context = reveal_for_people(approval.organization_id, stored)
    else:
        context = marked_as_erased(stored, keys_left(approval.organization_id, stored))
    closed = list(marks(context))
    still = {name for name, _ in closed}
    opened = [name for name, kind in marks(stored) if kind == ENCRYPTED and name not in still]
    if opened:
        _tell(approval, membership, opened, now)
    return Shown(context, opened, closed, may_open)


def _tell(approval: Approval, membership: Membership, opened: list[str], now: datetime) -> None:
    actor = membership.user.actor
    seen = Event.objects.filter(
        organization_id=approval.organization_id, target=approval.approval_id, kind=KIND, actor_id=actor.id
    )
    if seen.filter(at__gt=now - AGAIN).exists():
        return
    entry = Entry(
        kind=KIND,
        organization_id=approval.organization_id,
        mode="test" if approval.mode == "test" else "live",
        actor=actor,
        agent=approval.agent_slug,
        action=approval.action,
        target=approval.approval_id,
        data={"opened": opened},
    )
    with transaction.atomic():
        record_all([entry], at=now)
