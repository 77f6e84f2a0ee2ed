"""People's half of an approval: review, expiry, lapse. Each writes state, events and news in one transaction.

Agents' half is approvals.intake (ask) and approvals.moves (claim, cancel). Nothing else writes an approval.
"""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q

from accounts.models import Organization, User
from agents import assurance as levels
from agents import spending
from approvals import grants, metrics, rules, states
from approvals.case import case_of, person_of
from approvals.models import Approval, Review
from approvals.stops import freezing
from approvals.terms import Terms
from approvals.terms import check as check_terms
from audit import spans
from audit.clock import database_now
from audit.leaf import SYSTEM, Actor, Entry, Mode
from audit.record import record_all
from notifications import hints
from notifications.outbox import announce

CHANNEL = "warden_approval"  # agents that wait listen here; see approvals.holding
COVERED = "Values of this request are withheld or encrypted, and shown on its own page only: decide it there."
ONE_BY_ONE = "Values of this request are withheld or encrypted: no more of its kind can be allowed with it."
OWN_KIND = (
    "You have a part in what this agent asks: approve each one by itself, no more of its kind can be allowed by you."
)
NOBODY = "Nobody decided in time"


@spans.traced("review")
def review(
    *,
    approval_id: uuid.UUID,
    by: User,
    organization: Organization,
    verdict: rules.Verdict,
    reason: str,
    digest: str,
    via: str,
    assurance: str = "",
    typed: str = "",
    changes: bool = False,
    grant: Terms | None = None,
    shown_at: datetime | None = None,
    together: bool = False,
) -> Approval:
    """One person's vote, and the final state once enough people said the same. Returns the approval as it is then.

    `digest` is that of the request they were shown; `via` is browser, slack or api; `assurance` (agents.assurance) how
    sure it is that they say it, where that is more than `via` tells; `typed` what they typed to confirm; `shown_at`
    since when the server has shown it to them (approvals.shown); `together`: it is one of several (approvals.together).
    A denial with `changes` asks the agent to ask again in
    another way: the reason says in which. An approval with a `grant` allows more of the same kind. The same vote again
    (a double click) changes nothing and is no error. Raises Approval.DoesNotExist for what is not this organization's,
    rules.Refused where this person may not, or not this way, rules.Conflict where it was decided first, expired or is
    not what they were shown, rules.Incomplete where a reason, the confirmation or time is missing.
    """
    assurance = assurance or (levels.BROWSER if via == "browser" else levels.SLACK)
    reason = reason.strip()
    with transaction.atomic():
        approval = Approval.objects.select_for_update(of=("self",)).get(id=approval_id, organization=organization)
        now = database_now()  # after the lock: the deadline may have passed while we waited for it
        organization.refresh_from_db(fields=["claim_seconds", "single_operator_since"])
        case = case_of(approval, organization)
        if _said_already(approval, by, verdict, digest):
            return approval
        overdue = approval.state == states.PENDING and approval.expires_at <= now and not case.frozen
        if overdue:
            _expire([approval], now)
        else:
            person = person_of(organization.id, by.id)
            rules.check_review(
                case,
                person=person,
                verdict=verdict,
                reason=reason,
                digest=digest,
                now=now,
                assurance=assurance,
                typed=typed,
                changes=changes,
                shown_at=shown_at,
                together=together,
            )
            if approval.is_covered and (via != "browser" or together):
                raise rules.Refused(COVERED, "covered")
            if grant and approval.is_covered:
                raise rules.Refused(ONE_BY_ONE, "grants")
            if grant:
                check_terms(case.wide, approval.risk, approval.amount, approval.context_data, grant)
                if verdict != "approve":
                    raise rules.Refused("A denial allows nothing, and no more of its kind.", "grants")
            voice = case.voice(person)
            behalf = User.objects.get(id=voice.id) if voice and voice.id != by.id else None
            if grant and by.id in case.chain:
                raise rules.Refused(OWN_KIND, "grants")
            if grant and behalf:
                raise rules.Refused("In somebody else's name you approve this one, and no more of its kind.", "grants")
            said = {"via": via, "assurance": assurance, "changes": changes, "reason": reason, "on_behalf_of": behalf}
            more: dict[str, object] = {"together": True} if together else {}
            if shown_at and case.rule.reading_seconds(case.risk):
                more["read_seconds"] = int((now - shown_at).total_seconds())
            _vote(approval, by=by, verdict=verdict, said=said, now=now, more=more)
            tally = rules.tally(case_of(approval, organization))
            if tally.outcome:
                lasts = timedelta(seconds=organization.claim_seconds)
                _decide(approval, tally=tally, by=by, reason=reason, now=now, claim_until=now + lasts, changes=changes)
            if grant:
                grants.make(approval, by=by, wanted=grant, tally=tally, now=now)
    if overdue:
        rules.check_change(case, now)  # raises, now that the expiry is committed
    return approval


def expire_due(limit: int = 500) -> int:
    """Ends up to `limit` requests whose deadline has passed. Returns how many; may run twice, or at once."""
    with transaction.atomic():
        now = database_now()
        overdue = (
            freezing.running()
            .select_for_update(skip_locked=True, of=("self",))
            .filter(state=states.PENDING, expires_at__lte=now)
            .order_by("expires_at")[:limit]
        )
        return _expire(list(overdue), now)


def lapse_due(limit: int = 500) -> int:
    """Ends the claim of up to `limit` approvals that were given and never taken in time. Returns how many."""
    with transaction.atomic():
        now = database_now()
        late = list(
            freezing.running()
            .select_for_update(skip_locked=True, of=("self",))
            .filter(state=states.APPROVED, claimed_at=None, lapsed_at=None, claim_until__lte=now)
            .order_by("claim_until")[:limit]
        )
        changed = Approval.objects.filter(
            id__in=[approval.id for approval in late], state=states.APPROVED, claimed_at=None, lapsed_at=None
        ).update(lapsed_at=now)
        all_or_nothing(changed, late)
        record_all([entry(approval, "system:approval:lapsed", SYSTEM, "lapsed") for approval in late], at=now)
        return changed


def give_back_due(limit: int = 500) -> int:
    """Gives budgets back what up to `limit` requests had reserved and came to nothing, whoever ended them. How many."""
    with transaction.atomic():
        ended = ~Q(state__in=[states.PENDING, states.APPROVED]) | Q(lapsed_at__isnull=False)
        rows = Approval.objects.filter(ended, ~Q(reserved=[])).order_by("id")
        ids = list(rows.select_for_update(skip_locked=True, of=("self",)).values_list("id", flat=True)[:limit])
        if ids:
            spending.give_back(ids)
            Approval.objects.filter(id__in=ids).update(reserved=[])
        return len(ids)


def _said_already(approval: Approval, by: User, verdict: str, digest: str) -> bool:
    return Review.objects.filter(approval=approval, user=by, verdict=verdict, digest=digest, voided_at=None).exists()


def _vote(
    approval: Approval, *, by: User, verdict: str, said: dict[str, Any], now: datetime, more: Mapping[str, object]
) -> None:
    Review.objects.create(approval=approval, user=by, verdict=verdict, digest=approval.digest, created_at=now, **said)
    changes, behalf = said.pop("changes"), said.pop("on_behalf_of")
    if behalf:
        said["for"] = behalf.email
    kind = "person:review:changes" if changes else f"person:review:{verdict}"
    record_all([entry(approval, kind, by.actor, verdict, {"digest": approval.digest, **said, **more})], at=now)


def _decide(
    approval: Approval,
    *,
    tally: rules.Tally,
    by: User,
    reason: str,
    now: datetime,
    claim_until: datetime,
    changes: bool,
) -> None:
    """The one move out of pending that people make. The condition, not the lock, is what makes it the only one."""
    state = tally.outcome
    assert state in states.MOVES[states.PENDING]
    values = {
        "state": state,
        "decided_at": now,
        "decided_by": by,
        "decided_by_label": by.email,
        "reason": reason,
        "code": states.CHANGES if changes and state == states.DENIED else "",
        "claim_until": claim_until if state == states.APPROVED else None,
    }
    changed = Approval.objects.filter(id=approval.id, state=states.PENDING, digest=approval.digest).update(**values)
    all_or_nothing(changed, [approval])
    for name, value in values.items():
        setattr(approval, name, value)
    came_to = {"digest": approval.digest, "approvals": tally.approvals, "denials": tally.denials, "reason": reason}
    if values["code"]:
        came_to["code"] = values["code"]
    tell([approval], [entry(approval, f"person:approval:{state}", by.actor, state, came_to)], now)


def _expire(overdue: list[Approval], now: datetime) -> int:
    values = {"state": states.EXPIRED, "decided_at": now, "reason": NOBODY}
    ids = [approval.id for approval in overdue]
    changed = Approval.objects.filter(id__in=ids, state=states.PENDING, expires_at__lte=now).update(**values)
    all_or_nothing(changed, overdue)
    for approval in overdue:
        for name, value in values.items():
            setattr(approval, name, value)
    tell(overdue, [entry(approval, "system:approval:expired", SYSTEM, "expired") for approval in overdue], now)
    return changed


def all_or_nothing(changed: int, locked: list[Approval]) -> None:
    if changed != len(locked):
        raise RuntimeError(f"{changed} of {len(locked)} locked approvals changed: nothing is committed")


def entry(approval: Approval, kind: str, actor: Actor, result: str, data: Mapping[str, object] | None = None) -> Entry:
    mode: Mode = "test" if approval.mode == "test" else "live"
    return Entry(
        kind=kind,
        organization_id=approval.organization_id,
        mode=mode,
        actor=actor,
        agent=approval.agent_slug,
        action=approval.action,
        target=approval.approval_id,
        result=result,
        data=dict(data or {}),
    )


def tell(ended: Iterable[Approval], entries: list[Entry], now: datetime) -> None:
    """The record, the outbox and the agents that wait, all with the commit; the worker is told after it."""
    ended = list(ended)
    if not ended:
        return
    record_all(entries, at=now)
    announce(
        (approval.organization_id, approval.mode, f"approval.{approval.state}", approval.approval_id)
        for approval in ended
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_notify(%s, id) FROM unnest(%s::text[]) AS id", [CHANNEL, [str(each.id) for each in ended]]
        )
    hints.poke()
    metrics.ended(ended)
