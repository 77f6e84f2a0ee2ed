"""Grants: more of what was approved. Made with the vote that approves; revoked at once, by people or by a change.

Uses are counted by approvals.granting, for agents. Nothing else writes a grant.
"""

import json
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import Organization, User
from agents import policy
from agents.load import load
from agents.policy import plain
from agents.services.by import Who, actor, person
from approvals import rules, states, terms
from approvals.case import owners_of, people_of, person_of
from approvals.models import Approval, Grant
from audit.clock import database_now
from audit.leaf import SYSTEM, Actor, Entry, Mode, timestamp
from audit.record import record_all


def make(approval: Approval, *, by: User, wanted: terms.Terms, tally: rules.Tally, now: datetime) -> Grant:
    """The grant that comes with the vote that has just approved. Must run in its transaction.

    Raises rules.Refused where that vote was not the only one it took.
    """
    if approval.state != states.APPROVED or tally.approvals != 1:
        raise rules.Refused("More than one approval is needed here: approve this one without more.", "grants")
    grant = Grant.objects.create(
        organization_id=approval.organization_id,
        mode=approval.mode,
        agent_id=approval.agent_id,
        agent_slug=approval.agent_slug,
        approval=approval,
        action=approval.action,
        callee=approval.callee,
        environment=approval.environment,
        permission=approval.permission,
        rule=approval.rule,
        currency=approval.currency,
        each=wanted.each,
        total=wanted.total,
        same=terms.same(approval.context_data, wanted.same),
        max_uses=wanted.uses,
        words=terms.words(
            agent=approval.agent_slug,
            action=approval.action,
            terms=wanted,
            context=approval.context_data,
            currency=approval.currency,
        ),
        granted_by=by,
        granted_by_label=by.email,
        created_at=now,
        expires_at=now + terms.lasts(wanted),
    )
    said = {"words": grant.words, "approval": approval.approval_id, "expires_at": grant.expires_at.isoformat()}
    record_all([_entry(grant, "person:grant:create", by.actor, said)], at=now)
    return grant


def revoke(*, grant_id: uuid.UUID, by: Who, organization: Organization, reason: str) -> Grant:
    """Ends a grant, from the commit on. Again: the same. `by` is somebody who decides, or the command line.

    Raises Grant.DoesNotExist, rules.Refused, Incomplete.
    """
    reason = reason.strip()
    with transaction.atomic():
        grant = Grant.objects.select_for_update(of=("self",)).get(id=grant_id, organization=organization)
        who = person(by)
        if not person_of(organization.id, who.id).able if who else actor(by).type != "system":
            raise rules.Refused("Only those who decide requests can revoke a grant.", "role")
        if len(reason) > rules.REASON_LIMIT or "\0" in reason:
            raise rules.Incomplete(f"A reason has at most {rules.REASON_LIMIT:,} characters.", "reason_long")
        if grant.revoked_at is None:
            _end([grant], actor(by), who.email if who else actor(by).label, reason or "Revoked", database_now())
    return grant


def idle(grants: Iterable[Grant]) -> set[uuid.UUID]:
    """The ids of those of these grants of one organization that allow nothing as people are now: who gave them could
    not approve it any more. As approvals.granting judges each use.
    """
    rows = list(grants)
    if not rows:
        return set()
    people = people_of(rows[0].organization_id, {row.granted_by_id for row in rows})
    owners = owners_of({row.agent for row in rows})
    escalated = dict(Approval.objects.filter(grant__in=rows).values_list("id", "escalated"))
    return {
        row.id
        for row in rows
        if row.granted_by_id in owners[row.agent_id]
        or not rules.Rule.read(row.rule).widened(escalated[row.approval_id]).lets(people[row.granted_by_id])
    }


def as_json(grant: Grant, now: datetime) -> dict[str, Any]:
    """A grant as scripts get it; times in RFC 3339."""
    return {
        "id": grant.grant_id,
        "state": grant.state(now),
        "mode": grant.mode,
        "agent": grant.agent_slug,
        "action": grant.action,
        "environment": grant.environment,
        "words": grant.words,
        "each": plain(grant.each) if grant.each is not None else None,
        "total": plain(grant.total) if grant.total is not None else None,
        "used": plain(grant.used),
        "currency": grant.currency,
        "uses": grant.uses,
        "max_uses": grant.max_uses,
        "same": json.loads(grant.same),
        "granted_by": grant.granted_by_label,
        "created_at": timestamp(grant.created_at),
        "expires_at": timestamp(grant.expires_at),
        "revoked_at": timestamp(grant.revoked_at) if grant.revoked_at else None,
        "revoked_by": grant.revoked_by_label or None,
        "revoked_because": grant.revoked_because or None,
    }


def recheck(organization_id: uuid.UUID) -> int:
    """Ends the grants that the policy of now does not carry any more; in the transaction that changes it. Returns how
    many."""
    live = Grant.objects.filter(organization_id=organization_id, revoked_at=None).order_by("id")
    if not live.exists():
        return 0
    loaded = load(organization_id)
    with transaction.atomic():
        now = database_now()
        ended = 0
        for grant in live.filter(expires_at__gt=now).select_for_update(of=("self",)):
            if because := _unsound(grant, loaded):
                _end([grant], SYSTEM, "Warden", because, now)
                ended += 1
        return ended


def _unsound(grant: Grant, loaded: Any) -> str:
    agent = loaded.policy.agents.get(str(grant.agent_id))
    if agent is None or agent.status != "active":
        return "The agent is not active any more"
    snapshot = grant.permission_data
    if policy.stopped_by(loaded.policy.stops, str(grant.agent_id), grant.action, snapshot["action"]):
        return "The kill switch was used"
    kept = loaded.permissions.get(snapshot["id"])
    if kept is None or kept.snapshot != grant.permission:
        return "The permission changed"
    return "" if dict(kept.rule) == grant.rule else "The approval rule changed"


def _end(grants: list[Grant], who: Actor, label: str, because: str, now: datetime) -> None:
    for grant in grants:
        values = {"revoked_at": now, "revoked_by_label": label, "revoked_because": because}
        if Grant.objects.filter(id=grant.id, revoked_at=None).update(**values) != 1:
            raise RuntimeError(f"{grant.grant_id} changed while it was locked: nothing is committed")
        for name, value in values.items():
            setattr(grant, name, value)
        record_all([_entry(grant, f"{who.type}:grant:revoke", who, {"words": grant.words, "reason": because})], at=now)


def _entry(grant: Grant, kind: str, who: Actor, data: dict[str, Any]) -> Entry:
    mode: Mode = "test" if grant.mode == "test" else "live"
    return Entry(
        kind=kind,
        organization_id=grant.organization_id,
        mode=mode,
        actor=who,
        agent=grant.agent_slug,
        action=grant.action,
        target=grant.grant_id,
        data=data,
    )


def follow(*, instance: Any, **_: Any) -> None:
    """A new version of the policy, or of a rule: what it does not carry ends with the same commit."""
    recheck(instance.organization_id)
