"""Deadlines stand still while a stop holds a request, and move by exactly that long when nothing holds it any more.

`frozen_at` is since when. Overlapping stops need no bookkeeping: a request is let go by the last one that holds it.
What was asked over AAP has the deadline that its client was told, and no other: it is never frozen, and ends by it.
A stop freezes what it holds in its own transaction; where a lock keeps it from that, the sweep does it a little later,
as of the same moment, and nothing ends meanwhile: `running` leaves out what a stop holds, frozen or not yet.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest

from accounts.by import lock
from accounts.models import Organization
from agents.models import Stop
from approvals import states
from approvals.models import Approval
from notifications.outbox import announce

CHANNEL = "warden_approval"  # agents that wait listen here; see approvals.holding
OPEN = Q(state=states.PENDING) | Q(state=states.APPROVED, claimed_at=None, lapsed_at=None)
TIMES = ("expires_at", "remind_at", "escalate_at", "claim_until")


def held_by(stop: Stop) -> Q:
    """What is open and held by a stop: not what was overdue already when it began. As policy.Stop.holds says it."""
    in_time = Q(state=states.PENDING, expires_at__gt=stop.stopped_at) | Q(claim_until__gt=stop.stopped_at)
    found = Q(organization_id=stop.organization_id) & OPEN & in_time & Q(by_aap=False)
    if stop.agent_id:
        found &= Q(agent_id=stop.agent_id)
    if stop.pattern.endswith(".*"):
        prefix = stop.pattern[:-1]
        found &= Q(action__startswith=prefix) | Q(permission__startswith=_tier(prefix))
    elif stop.pattern:
        found &= Q(action=stop.pattern) | Q(permission__startswith=_tier(stop.pattern) + '"')
    return found


def _tier(start: str) -> str:
    """How the canonical JSON of a tier begins whose name begins so: its keys are sorted."""
    return f'{{"action":"{start}'


def running() -> QuerySet[Approval]:
    """Approvals whose deadlines run: what is neither frozen nor held by a stop, in whatever organization."""
    rows = Approval.objects.filter(frozen_at=None)
    for stop in Stop.objects.filter(released_at=None):
        rows = rows.exclude(pk__in=Approval.objects.filter(held_by(stop)).values("pk"))
    return rows


def freeze_all() -> int:
    """Freezes what was made, or could not be frozen, while its stop began. Returns how many."""
    stopped = Organization.objects.filter(stops__released_at=None, stops__isnull=False).distinct()
    return sum(freeze(organization) for organization in stopped)


@transaction.atomic
def freeze(organization: Organization) -> int:
    """Freezes what the organization's stops hold, each since its stop began or it was made. Returns how many.

    Takes turns with `stop` and `release` of the same organization.
    """
    lock(organization)
    return sum(_freeze(stop) for stop in active(organization).order_by("stopped_at"))


def active(organization: Organization) -> QuerySet[Stop]:
    """What the kill switch holds there now."""
    return organization.stops.filter(released_at=None).select_related("agent", "organization")


def _freeze(stop: Stop) -> int:
    ids = _locked(Approval.objects.filter(held_by(stop), frozen_at=None))
    since = Greatest(Value(stop.stopped_at), F("created_at"), Coalesce(F("decided_at"), F("created_at")))
    changed = Approval.objects.filter(held_by(stop), frozen_at=None, id__in=ids).update(frozen_at=since)
    _wake(ids)
    return changed


def thaw(organization: Organization, at: datetime) -> int:
    """Lets go of what no stop holds any more, as of `at`, the database's clock. Returns how many.

    The caller holds the lock on the organization.
    """
    held = Q(pk__in=[])
    for stop in active(organization):
        held |= held_by(stop)
    frozen = Approval.objects.filter(OPEN, organization=organization, frozen_at__isnull=False)
    ids = _locked(frozen.exclude(pk__in=Approval.objects.filter(held).values("pk")))
    stood = Value(at) - F("frozen_at")
    waiting = list(Approval.objects.filter(id__in=ids, state=states.PENDING).only("id", "mode"))
    changed = Approval.objects.filter(OPEN, id__in=ids, frozen_at__isnull=False).update(
        **{name: F(name) + stood for name in TIMES}, frozen_for=F("frozen_for") + stood, frozen_at=None
    )
    if changed != len(ids):
        raise RuntimeError(f"{changed} of {len(ids)} locked approvals changed: nothing is committed")
    announce((organization.id, approval.mode, "approval.resumed", approval.approval_id) for approval in waiting)
    _wake(ids)
    return changed


def _locked(rows: QuerySet[Approval]) -> list[uuid.UUID]:
    """Locks them, always in the same order, and returns their ids."""
    return list(rows.order_by("id").select_for_update(no_key=True, of=("self",)).values_list("id", flat=True))


def _wake(ids: Iterable[uuid.UUID]) -> None:
    """Tells the agents that wait for these, with the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, id) FROM unnest(%s::text[]) AS id", [CHANNEL, [str(each) for each in ids]])
