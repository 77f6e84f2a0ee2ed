"""Insights: how much is asked, how it ends and how long people take. Two bounded scans, whatever the age of things."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import requires
from accounts.models import Organization
from audit.clock import database_now
from audit.leaf import Mode
from warden.charts import Series, bars, line

RANGES = {7: "7 days", 30: "30 days", 90: "90 days"}
NEWEST = 50_000  # requests that are looked at, newest first
DENIALS = 20_000  # refusals by policy that are looked at, newest first
TOP = 8
PATIENCE_MS = 3_000
ENDS = ("approved", "denied", "expired", "cancelled", "pending")

# The floor on the id lets the index of ids bound the scan: an id begins with its time, by a clock at most a day wrong.
REQUESTS = """
WITH recent AS MATERIALIZED (
    SELECT created_at, action, agent_slug, extract(epoch FROM decided_at - created_at) AS seconds,
        (created_at AT TIME ZONE 'UTC')::date AS day,
        CASE WHEN state = 'pending' AND expires_at <= %(now)s AND frozen_at IS NULL THEN 'expired'
            ELSE state END AS state
    FROM approvals_approval
    WHERE organization_id = %(organization)s AND mode = %(mode)s AND id >= %(floor)s AND created_at >= %(since)s
    ORDER BY id DESC LIMIT %(newest)s
)
SELECT json_build_object(
    'count', (SELECT count(*) FROM recent),
    'days', (SELECT json_agg(each) FROM (
        SELECT day, state, count(*) FROM recent GROUP BY day, state) each),
    'times', (SELECT percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY seconds)
        FROM recent WHERE state IN ('approved', 'denied')),
    'medians', (SELECT json_agg(each) FROM (
        SELECT day, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median
        FROM recent WHERE state IN ('approved', 'denied') GROUP BY day) each),
    'agents', (SELECT json_agg(each) FROM (
        SELECT agent_slug AS name, count(*) AS count, count(*) FILTER (WHERE state = 'approved') AS approved,
            count(*) FILTER (WHERE state = 'denied') AS denied
        FROM recent GROUP BY agent_slug ORDER BY count DESC, name LIMIT %(top)s) each),
    'denied', (SELECT json_agg(each) FROM (
        SELECT action AS name, count(*) AS count FROM recent WHERE state = 'denied' GROUP BY action) each)
)
"""
BACKLOG = """
SELECT json_build_object(
    'waiting', (SELECT count(*) FROM approvals_approval
        WHERE organization_id = %(organization)s AND mode = %(mode)s AND state = 'pending'
            AND (expires_at > %(now)s OR frozen_at IS NOT NULL)),
    'oldest', (SELECT min(created_at) FROM approvals_approval
        WHERE organization_id = %(organization)s AND mode = %(mode)s AND state = 'pending'
            AND (expires_at > %(now)s OR frozen_at IS NOT NULL)),
    'ended', (SELECT json_agg(each) FROM (
        SELECT (at AT TIME ZONE 'UTC')::date AS day, count(*) FROM (
            (SELECT decided_at AS at FROM approvals_approval
                WHERE organization_id = %(organization)s AND mode = %(mode)s AND NOT state = 'pending'
                    AND decided_at >= %(since)s
                ORDER BY decided_at DESC LIMIT %(newest)s)
            UNION ALL
            SELECT expires_at FROM approvals_approval
                WHERE organization_id = %(organization)s AND mode = %(mode)s AND state = 'pending'
                    AND expires_at BETWEEN %(since)s AND %(now)s AND frozen_at IS NULL
        ) ended GROUP BY day) each)
)
"""
REFUSED = """
SELECT action, count(*) FROM (
    SELECT action FROM audit_event
    WHERE organization_id = %(organization)s AND mode = %(mode)s AND result = 'deny' AND at >= %(since)s
    ORDER BY at DESC, id DESC LIMIT %(denials)s
) refused WHERE action <> '' GROUP BY action
"""


@dataclass(slots=True)
class Day:
    """One day (UTC): how the requests made on it ended, and what still waited when it ended."""

    day: date
    ends: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ENDS, 0))
    median: float | None = None
    backlog: int = 0

    @property
    def total(self) -> int:
        return sum(self.ends.values())


@dataclass(frozen=True, slots=True)
class Denied:
    action: str
    by_people: int
    by_policy: int

    @property
    def total(self) -> int:
        return self.by_people + self.by_policy


@dataclass(frozen=True, slots=True)
class Busy:
    agent: str
    requests: int
    approved: int
    denied: int


@dataclass(frozen=True, slots=True)
class Insights:
    """What the page shows of one organization, mode and range."""

    days: list[Day]
    requests: int
    median: timedelta | None
    p90: timedelta | None
    waiting: int
    oldest: datetime | None
    denied: list[Denied]
    agents: list[Busy]
    cut: bool

    def ended(self, state: str) -> int:
        return sum(day.ends[state] for day in self.days)

    @property
    def rate(self) -> float | None:
        """Approved, of what people decided, in percent."""
        approved, denied = self.ended("approved"), self.ended("denied")
        return 100 * approved / (approved + denied) if approved + denied else None

    @property
    def empty(self) -> bool:
        return not (self.requests or self.denied or self.waiting)


def insights(*, organization: Organization, mode: Mode, days: int, now: datetime) -> Insights:
    """The last `days` days, today included, as of `now`. Raises django.db.OperationalError after PATIENCE_MS."""
    first = now.astimezone(UTC).date() - timedelta(days=days - 1)
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    values = {
        "organization": organization.pk,
        "mode": mode,
        "now": now,
        "since": since,
        "floor": uuid.UUID(int=int((since - timedelta(days=1)).timestamp() * 1000) << 80),
        "newest": NEWEST,
        "denials": DENIALS,
        "top": TOP,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE_MS)])
        asked = _json(cursor, REQUESTS, values)
        backlog = _json(cursor, BACKLOG, values)
        cursor.execute(REFUSED, values)
        refused = dict(cursor.fetchall())
        cursor.execute("SELECT set_config('statement_timeout', '0', true)")
    table = _days(first, days, asked, backlog)
    median, p90 = (
        None if seconds is None else timedelta(seconds=seconds) for seconds in asked["times"] or (None, None)
    )
    return Insights(
        days=table,
        requests=asked["count"],
        median=median,
        p90=p90,
        waiting=backlog["waiting"],
        oldest=datetime.fromisoformat(backlog["oldest"]) if backlog["oldest"] else None,
        denied=_denied({each["name"]: each["count"] for each in asked["denied"] or ()}, refused),
        agents=[Busy(each["name"], each["count"], each["approved"], each["denied"]) for each in asked["agents"] or ()],
        cut=asked["count"] >= NEWEST or sum(refused.values()) >= DENIALS,
    )


def _json(cursor: Any, statement: str, values: dict[str, Any]) -> dict[str, Any]:
    cursor.execute(statement, values)
    (found,) = cursor.fetchone()
    result: dict[str, Any] = json.loads(found) if isinstance(found, str) else found
    return result


def _days(first: date, count: int, asked: dict[str, Any], backlog: dict[str, Any]) -> list[Day]:
    days = {day: Day(day) for day in (first + timedelta(days=number) for number in range(count))}
    for each in asked["days"] or ():
        if day := days.get(date.fromisoformat(each["day"])):
            day.ends[each["state"]] += each["count"]
    for each in asked["medians"] or ():
        if day := days.get(date.fromisoformat(each["day"])):
            day.median = each["median"]
    ended = {date.fromisoformat(each["day"]): each["count"] for each in backlog["ended"] or ()}
    waiting = backlog["waiting"]
    for day in reversed(days.values()):
        # Backwards from now: what waited at the end of a day, less what came on it, plus what ended on it.
        day.backlog = max(waiting, 0)
        waiting += ended.get(day.day, 0) - day.total
    return list(days.values())


def _denied(by_people: dict[str, int], by_policy: dict[str, int]) -> list[Denied]:
    rows = [Denied(action, by_people.get(action, 0), by_policy.get(action, 0)) for action in by_people | by_policy]
    return sorted(rows, key=lambda row: (-row.total, row.action))[:TOP]


@require_safe
@requires("approvals:read")
def page(request: HttpRequest) -> HttpResponse:
    """The charts, for one range of days in the address."""
    chosen = request.GET.get("days", "")
    days = int(chosen) if chosen in map(str, RANGES) else 30
    try:
        found = insights(organization=request.organization, mode=request.mode, days=days, now=database_now())  # type: ignore[attr-defined]
    except OperationalError:
        found = None
    context: dict[str, Any] = {"ranges": RANGES, "days": days, "found": found}
    context["may_see_habits"] = request.membership.may("settings:read")  # type: ignore[attr-defined]
    if found and not found.empty:
        context |= _drawn(found)
    return render(request, "insights/page.html", context, status=200 if found else 503)


def _drawn(found: Insights) -> dict[str, Any]:
    labels = [f"{day.day:%d %b}" for day in found.days]
    return {
        "ends": bars(labels, [Series(state, [day.ends[state] for day in found.days]) for state in ENDS]),
        "backlog": line(labels, [day.backlog for day in found.days]),
        "times": line(labels, [day.median for day in found.days]),
        "requests": [day.total for day in found.days],
        "most_denied": max((row.total for row in found.denied), default=0),
        "most_busy": max((row.requests for row in found.agents), default=0),
    }
