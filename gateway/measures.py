"""What agents' traffic can be alerted on: read of the record, newest first, and never more than NEWEST of it."""

from collections import Counter

from django.db import connection

from notifications.alerts.measures import Measure, Scope, register

NEWEST = 20_000  # events that are looked at
LEAST = 10  # decided checks, or logs: a share of fewer says nothing
ALLOWED = ("agent:check:allow", "agent:approval:claim", "agent:grant:use")
DENIED = "agent:check:deny"
REFUSED = "agent:check:refuse"
LOGGED = "agent:action:log"
WENT_WRONG = ("failed", "error")

# Walks event_page; the limit is on what is read, not on what matches.
RECENT = """
SELECT kind, result, count(*) FROM (
    SELECT kind, result FROM audit_event
    WHERE organization_id = %s AND mode = %s AND at >= %s ORDER BY at DESC, id DESC LIMIT %s
) recent GROUP BY kind, result
"""
UNKNOWN = """
SELECT count(*) FROM (
    SELECT FROM audit_event
    WHERE organization_id = %s AND mode = %s AND kind = 'agent:check:refuse' AND at >= %s LIMIT %s
) refused
"""


def connect() -> None:
    register(Measure("denial_rate", "Share of checks denied", denial_rate, "share"))
    register(Measure("error_rate", "Share of actions that failed", error_rate, "share"))
    register(Measure("unknown_callers", "Checks by unknown agents", unknown_callers))


def denial_rate(scope: Scope) -> float | None:
    """Denied checks among those that were decided: allowed, denied, or allowed because a person had approved.

    A check that still waits for a person is neither; what a person denied counts once its agent is told.
    """
    kinds = Counter[str]()
    for kind, _, count in _recent(scope):
        kinds[kind] += count
    decided = sum(kinds[kind] for kind in ALLOWED) + kinds[DENIED]
    return kinds[DENIED] / decided if decided >= LEAST else None


def error_rate(scope: Scope) -> float | None:
    """What agents logged as failed (or error), among all that they logged."""
    results = Counter[str]()
    for kind, result, count in _recent(scope):
        if kind == LOGGED:
            results[result] += count
    logged = results.total()
    return sum(results[result] for result in WENT_WRONG) / logged if logged >= LEAST else None


def unknown_callers(scope: Scope) -> float:
    """Checks with a valid key for an agent that does not exist."""
    with connection.cursor() as cursor:
        cursor.execute(UNKNOWN, [scope.organization_id, scope.mode, scope.since, NEWEST])
        return float(cursor.fetchone()[0])


def _recent(scope: Scope) -> list[tuple[str, str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(RECENT, [scope.organization_id, scope.mode, scope.since, NEWEST])
        rows: list[tuple[str, str, int]] = cursor.fetchall()
    return rows
