"""Requests whose time is over: they go with their votes, edits, conversation and evidence, grants and cards.

A request goes after the last event about it: what the record still tells of, it can still show. What waits, what may
still be claimed, what holds a budget or a grant, and what nobody signed off yet stays, however old. Runs after
audit.retention.
"""

import uuid
from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from approvals import states
from approvals.models import Approval, BreakGlass, Grant
from audit.ids import show_id
from audit.models import Event
from audit.retention import tell
from notifications.models import SlackPost

KIND = "system:approval:retention"
BATCH = 500  # requests in one transaction
MODES = ("live", "test")


def over(organization_id: uuid.UUID, mode: str, cutoff: datetime) -> QuerySet[Approval]:
    """What ended before `cutoff`, and of which nothing can begin any more; the oldest first."""
    own = Approval.objects.filter(organization_id=organization_id, mode=mode, decided_at__lt=cutoff)
    for last in ("claimed_at", "lapsed_at", "outcome_at"):
        own = own.filter(Q(**{last: None}) | Q(**{f"{last}__lt": cutoff}))
    claimed, lapsed = Q(claimed_at__isnull=False), Q(lapsed_at__isnull=False)
    ended = Q(state__in=states.FINAL - {states.APPROVED}) | claimed | lapsed
    given_back = Q(reserved=[]) | claimed
    grants = Grant.objects.filter(approval=OuterRef("pk"))
    glass = BreakGlass.objects.filter(approval=OuterRef("pk"))
    needed = (
        Exists(grants.exclude(Q(expires_at__lt=cutoff) | Q(revoked_at__lt=cutoff))),
        Exists(glass.exclude(signed_at__lt=cutoff)),
        Exists(BreakGlass.objects.filter(instead_of=OuterRef("pk"))),  # until that one is gone
    )
    rows = own.filter(ended, given_back, *(~each for each in needed))
    return rows.exclude(state=states.PENDING).order_by("decided_at", "id")


def due(organization_id: uuid.UUID, cutoff: datetime) -> int:
    """How many requests are over. Changes nothing; takes the record's own events of that time for gone."""
    young = Event.objects.filter(at__gte=cutoff)
    return sum(
        len(_unspoken(young, organization_id, batch))
        for mode in MODES
        for batch in _batches(over(organization_id, mode, cutoff))
    )


def let_go(organization_id: uuid.UUID, cutoff: datetime) -> int:
    """Deletes what is over, some in each transaction, and has the record say so. How many requests."""
    deleted = 0
    for mode in MODES:
        rows = over(organization_id, mode, cutoff)
        while done := sum(_delete(rows, batch, mode, cutoff) for batch in _batches(rows)):
            deleted += done  # once more: what a break-glass stood for is free when that is gone
    return deleted


def _batches(rows: QuerySet[Approval]) -> Iterator[list[Approval]]:
    """All of them, whether those before are deleted meanwhile or stay."""
    after = Q()
    while batch := list(rows.filter(after).only("id", "decided_at", "organization_id")[:BATCH]):
        yield batch
        last = batch[-1]
        after = Q(decided_at__gt=last.decided_at) | Q(decided_at=last.decided_at, id__gt=last.id)


def _unspoken(events: QuerySet[Event], organization_id: uuid.UUID, batch: list[Approval]) -> list[uuid.UUID]:
    """Those of which, and of whose grant and break-glass, `events` says nothing."""
    ids = [each.id for each in batch]
    of = {each.approval_id: each.id for each in batch}
    for prefix, kind in (("grt", Grant), ("brk", BreakGlass)):
        of |= {
            show_id(prefix, key): own
            for key, own in kind.objects.filter(approval__in=ids).values_list("id", "approval")
        }
    told = events.filter(organization_id=organization_id, target__in=list(of)).values_list("target", flat=True)
    spoken = {of[target] for target in told.distinct()}
    return [each for each in ids if each not in spoken]


def _delete(rows: QuerySet[Approval], batch: list[Approval], mode: str, cutoff: datetime) -> int:
    organization_id = batch[0].organization_id
    with transaction.atomic():
        still = rows.filter(pk__in=[each.pk for each in batch]).select_for_update(of=("self",), skip_locked=True)
        ids = _unspoken(Event.objects.all(), organization_id, list(still))
        if not ids:
            return 0
        SlackPost.objects.filter(target__in=[show_id("apr", each) for each in ids]).delete()
        BreakGlass.objects.filter(approval__in=ids).delete()
        Grant.objects.filter(approval__in=ids).delete()
        Approval.objects.filter(pk__in=ids).delete()
        tell(KIND, organization_id, mode, cutoff, {"requests": len(ids)})
    return len(ids)
