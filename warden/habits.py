"""How each approver decides: how long they take, how much they approve, and how often in a row. For admins."""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from statistics import median
from typing import Any, NamedTuple

from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import requires
from accounts.models import Organization
from audit.clock import database_now
from audit.leaf import Mode
from warden.insights import NEWEST, PATIENCE_MS, RANGES

QUICK = timedelta(seconds=10)  # sooner after it was asked, hardly anybody has read it
STREAK = 20  # approvals in a row from which on it is worth a look
WAITS = timedelta(days=31)  # no request waits longer: older ones have no votes of the period

# As in warden.insights: the floor on the id lets its index bound the scan. Time that stood still is nobody's delay.
VOTES = """
WITH recent AS MATERIALIZED (
    SELECT id, created_at + frozen_for AS asked_at FROM approvals_approval
    WHERE organization_id = %(organization)s AND mode = %(mode)s AND id >= %(floor)s
    ORDER BY id DESC LIMIT %(newest)s
)
SELECT u.email, r.verdict = 'approve', greatest(r.created_at - recent.asked_at, interval '0')
FROM recent JOIN approvals_review r ON r.approval_id = recent.id JOIN accounts_user u ON u.id = r.user_id
WHERE r.created_at >= %(since)s
ORDER BY u.email, r.created_at, r.id
"""


class Vote(NamedTuple):
    """One vote: whose, what, and how long after it was asked."""

    email: str
    approves: bool
    took: timedelta


@dataclass(frozen=True, slots=True)
class Habit:
    """One person's votes of a period."""

    email: str
    votes: int
    approvals: int
    median: timedelta
    fastest: timedelta
    quick: int  # approvals sooner than QUICK
    longest: int  # approvals in a row, at most
    running: int  # approvals in a row, up to their last vote

    @property
    def rate(self) -> float:
        """Approvals, of all their votes, in percent."""
        return 100 * self.approvals / self.votes

    @property
    def approves_everything(self) -> bool:
        """Whether they have approved so often in a row, and still do, that somebody should ask whether they read."""
        return self.running >= STREAK


@dataclass(frozen=True, slots=True)
class Habits:
    people: list[Habit]
    cut: bool  # there are more requests than were looked at


def habits_of(votes: Iterable[Vote]) -> Iterator[Habit]:
    """Each person's, of votes in the order of people, then of time. Pure."""
    for email, mine in groupby(votes, key=lambda vote: vote.email):
        said = list(mine)
        runs = [len(list(run)) if approves else 0 for approves, run in groupby(said, key=lambda vote: vote.approves)]
        took = [vote.took for vote in said]
        yield Habit(
            email=email,
            votes=len(said),
            approvals=sum(vote.approves for vote in said),
            median=timedelta(seconds=median(each.total_seconds() for each in took)),
            fastest=min(took),
            quick=sum(vote.approves and vote.took < QUICK for vote in said),
            longest=max(runs),
            running=runs[-1],
        )


def habits(*, organization: Organization, mode: Mode, days: int, now: datetime) -> Habits:
    """Of the last `days` days, today included, as of `now`; the longest running streak first.

    Raises django.db.OperationalError after PATIENCE_MS.
    """
    first = now.astimezone(UTC).date() - timedelta(days=days - 1)
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    floor = since - WAITS
    values = {
        "organization": organization.pk,
        "mode": mode,
        "since": since,
        "floor": uuid.UUID(int=int(floor.timestamp() * 1000) << 80),
        "newest": NEWEST,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE_MS)])
        cursor.execute(VOTES, values)
        votes = [Vote(*row) for row in cursor.fetchall()]
        cursor.execute(
            "SELECT count(*) FROM (SELECT FROM approvals_approval WHERE organization_id = %(organization)s"
            " AND mode = %(mode)s AND id >= %(floor)s LIMIT %(newest)s) looked_at",
            values,
        )
        (looked_at,) = cursor.fetchone()
        cursor.execute("SELECT set_config('statement_timeout', '0', true)")
    people = sorted(habits_of(votes), key=lambda each: (-each.running, -each.longest, -each.votes, each.email))
    return Habits(people, looked_at >= NEWEST)


@require_safe
@requires("settings:read")
def page(request: HttpRequest) -> HttpResponse:
    """One line a person, for one range of days in the address."""
    chosen = request.GET.get("days", "")
    days = int(chosen) if chosen in map(str, RANGES) else 30
    try:
        found = habits(organization=request.organization, mode=request.mode, days=days, now=database_now())  # type: ignore[attr-defined]
    except OperationalError:
        found = None
    context: dict[str, Any] = {"ranges": RANGES, "days": days, "found": found, "streak": STREAK, "nav": "insights"}
    context["quick"] = QUICK
    return render(request, "insights/approvers.html", context, status=200 if found else 503)
