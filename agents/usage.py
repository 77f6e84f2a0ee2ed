"""How an agent is used, as the record has it: requests a day, and how long people take over what it asks."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from agents.models import Agent

DAYS = 30
CHECKS = 20_000  # the newest that are counted; where there are more, the rate is theirs
DECISIONS = 200  # the newest that are averaged

RATE = """
SELECT count(*), min(at) FROM (
    SELECT at FROM audit_event
    WHERE organization_id = %(organization)s::uuid AND mode = 'live' AND agent = %(agent)s AND agent <> ''
        AND at >= %(since)s AND kind LIKE 'agent:check:%%'
    ORDER BY at DESC, id DESC LIMIT %(checks)s
) AS recent
"""
# Who was asked when is told by the first event of the request, who decided when by the one that ended it.
DECIDED = """
SELECT count(*), avg(ended.at - (
    SELECT min(asked.at) FROM audit_event AS asked
    WHERE asked.organization_id = %(organization)s::uuid AND asked.target = ended.target AND asked.target <> ''
        AND asked.kind = 'agent:check:ask'
)) FROM (
    SELECT at, target FROM audit_event
    WHERE organization_id = %(organization)s::uuid AND mode = 'live' AND agent = %(agent)s AND at >= %(since)s
        AND kind IN ('person:approval:approved', 'person:approval:denied')
    ORDER BY at DESC, id DESC LIMIT %(decisions)s
) AS ended
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the last DAYS days, or since the agent was made. `average` is None where nobody decided anything."""

    a_day: float
    decided: int
    average: timedelta | None


def usage(agent: Agent, now: datetime) -> Usage:
    """What the live record says of one agent."""
    since = max(agent.created_at, now - timedelta(days=DAYS))
    given: dict[str, str | int | datetime] = {
        "organization": str(agent.organization_id),
        "agent": agent.slug,
        "since": since,
        "checks": CHECKS,
        "decisions": DECISIONS,
    }
    with connection.cursor() as cursor:
        cursor.execute(RATE, given)
        count, first = cursor.fetchone()
        cursor.execute(DECIDED, given)
        decided, average = cursor.fetchone()
    # Less than a day old is a day; of more than is counted, the time that those counted took.
    days = max((now - since) / timedelta(days=1), 1.0) if count < CHECKS else (now - first) / timedelta(days=1)
    return Usage(count / days if count else 0.0, decided, average)
