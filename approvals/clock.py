"""While nobody decides: reminders at half and at nine tenths of the time, and the steps of the rule's escalation.

Due times are columns; the sweep takes what is due by the database's clock, and a final state makes nothing due. Each
step is a conditional update of locked rows, in one transaction with the record and the news: two sweeps do no harm.
While the kill switch holds a request nobody may decide, and its times stand still: see approvals.stops.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from approvals import rules, states
from approvals.models import Approval
from approvals.stops import freezing
from audit.clock import database_now
from audit.leaf import SYSTEM, Entry, Mode
from audit.record import record_all
from notifications import hints
from notifications.outbox import announce

FIRST, SECOND = 0.5, 0.9  # of the time from creation to expiry


def reminder(began_at: datetime, expires_at: datetime, sent: int) -> datetime | None:
    """When the next reminder is due, once `sent` of the two are."""
    return began_at + (expires_at - began_at) * (FIRST, SECOND)[sent] if sent < 2 else None


def escalation(rule: rules.Rule, began_at: datetime, reached: int) -> datetime | None:
    """When the next step is due, once `reached` of them are."""
    return began_at + rule.steps[reached].after if reached < len(rule.steps) else None


def remind_due(limit: int = 500) -> int:
    """Reminds of up to `limit` requests. Returns how many. Who was down past both times sends one reminder, not two."""
    return _sweep("remind_at", limit, _remind)


def escalate_due(limit: int = 500) -> int:
    """Widens up to `limit` requests by the steps that are due, and tells whom they add. Returns how many."""
    return _sweep("escalate_at", limit, _escalate)


def _remind(approval: Approval, now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    second = approval.began_at + (approval.expires_at - approval.began_at) * SECOND
    sent = 2 if second <= now else 1
    left = int((approval.expires_at - now) / timedelta(minutes=1))
    values = {"reminders_sent": sent, "remind_at": reminder(approval.began_at, approval.expires_at, sent)}
    return values, {"minutes_left": left}


def _escalate(approval: Approval, now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    rule = rules.Rule.read(approval.rule)
    reached = rule.reached(now - approval.began_at)
    added = rule.added(reached)
    values = {
        "escalated": reached,
        "escalate_at": escalation(rule, approval.began_at, reached),
        "added": {
            "roles": sorted(added.roles),
            "teams": sorted(map(str, added.teams)),
            "people": sorted(map(str, added.people)),
        },
    }
    return values, {"step": reached, "to": ", ".join(names(approval.rule, approval.escalated, reached))}


def names(snapshot: dict[str, Any], start: int, end: int) -> list[str]:
    """Whom the steps from `start` to `end` of a rule's snapshot add: `owner`, `team finance`, `ann@example.com`."""
    found: dict[str, None] = {}
    for step in snapshot.get("escalation", ())[start:end]:
        found |= dict.fromkeys(step.get("roles", ()))
        found |= dict.fromkeys(f"team {team['slug']}" for team in step.get("teams", ()))
        found |= dict.fromkeys(person["email"] for person in step.get("people", ()))
    return list(found)


EVENTS = {
    "remind_at": ("system:approval:reminded", "approval.reminder"),
    "escalate_at": ("system:approval:escalated", "approval.escalated"),
}
Move = Callable[[Approval, datetime], tuple[dict[str, Any], dict[str, Any]]]


def _due(column: str, now: datetime) -> QuerySet[Approval]:
    return freezing.running().filter(Q(**{f"{column}__lte": now}), state=states.PENDING, expires_at__gt=now)


def _sweep(column: str, limit: int, move: Move) -> int:
    kind, event = EVENTS[column]
    with transaction.atomic():
        now = database_now()
        rows = _due(column, now).select_for_update(skip_locked=True, of=("self",)).order_by(column)[:limit]
        entries, news = [], []
        for approval in rows.defer("context", "reasoning", "permission"):
            values, said = move(approval, now)
            if not _due(column, now).filter(id=approval.id).update(**values):
                raise RuntimeError(f"{approval.approval_id} changed while it was locked: nothing is committed")
            entries.append(_entry(approval, kind, said))
            news.append((approval.organization_id, approval.mode, event, approval.approval_id))
        if not entries:
            return 0
        record_all(entries, at=now)
        announce(news)
        hints.poke()
        return len(entries)


def _entry(approval: Approval, kind: str, said: dict[str, Any]) -> Entry:
    mode: Mode = "test" if approval.mode == "test" else "live"
    return Entry(
        kind=kind,
        organization_id=approval.organization_id,
        mode=mode,
        actor=SYSTEM,
        agent=approval.agent_slug,
        action=approval.action,
        target=approval.approval_id,
        data=said,
    )
