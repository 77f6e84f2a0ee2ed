"""How many requests come and how they end, and how long people take. Live ones only."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.db import transaction
from django.db.models import Count, Min
from prometheus_client import Counter, Histogram

from approvals import states
from approvals.models import Approval

MINUTE, HOUR = 60, 3_600
APPROVALS = Counter(
    "agentwarden_approvals_total",
    "Live approval requests that were requested, approved, denied, expired, cancelled or claimed",
    ["event"],
)
for _event in ("requested", "claimed", *states.FINAL):
    APPROVALS.labels(_event)  # so that the first of them is seen to be one more
RESPONSE = Histogram(
    "agentwarden_approval_response_seconds",
    "From a live request to the decision of people",
    buckets=(5, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR),
)


class Backlog(NamedTuple):
    """Live requests that wait for people, and how long the oldest has."""

    number: int
    oldest: timedelta


def backlog(now: datetime) -> Backlog:
    """What waits at `now`, the database's clock."""
    found = Approval.objects.filter(state=states.PENDING, mode="live").aggregate(
        number=Count("id"), oldest=Min("created_at")
    )
    oldest = now - found["oldest"] if found["oldest"] else timedelta()
    return Backlog(found["number"], max(oldest, timedelta()))


def ended(approvals: Iterable[Approval]) -> None:
    """Counts what ended, once the transaction has committed. A count that fails never fails what it counts."""
    live = [approval for approval in approvals if approval.mode == "live"]
    transaction.on_commit(partial(_count, live), robust=True)


def _count(approvals: list[Approval]) -> None:
    for approval in approvals:
        APPROVALS.labels(approval.state).inc()
        if approval.state in (states.APPROVED, states.DENIED) and approval.decided_at:
            RESPONSE.observe((approval.decided_at - approval.created_at).total_seconds())
