"""Breaking the glass, and signing it off. Each is one transaction with its events and its news.

What it goes around is the approval rule: who decides, how many must, and a denial or an expiry by it. The policy, its
budgets, the kill switch and the requester's chain hold as ever, here and once more when the agent takes the approval.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts.by import By, actor_of, check_by, lock
from accounts.models import Membership, Organization, User
from accounts.rules import Refused
from accounts.services.break_glass import other_owners
from agents import policy, spending
from agents.load import Loaded, load
from agents.policy import budgets
from approvals import rules, states
from approvals.case import case_of, person_of
from approvals.glass import ladder
from approvals.models import Approval, BreakGlass
from approvals.services import all_or_nothing, entry, tell
from audit.clock import database_now
from audit.ids import new_id
from audit.leaf import SYSTEM
from audit.record import record, record_all
from notifications import hints
from notifications.outbox import announce

DUE = timedelta(hours=24)  # for the sign-off, and again for each reminder of it
COVERED = "Values of this request are withheld or encrypted: it is decided by its rule only."
ASKED_AGAIN = "The agent has asked exactly that again: open that request instead."
NOTE = 2_000  # characters


type Permitted = tuple[policy.Decision, Loaded]


def check(approval: Approval, *, by: User, organization: Organization, digest: str, assurance: str) -> Permitted:
    """Whether this person may do it to this request now, but for the reason and what is typed: with the policy's word
    on it. Raises rules.Refused.
    """
    now = database_now()
    case = case_of(approval, organization)
    person = person_of(organization.id, by.id)
    ladder.check(case, person=person, digest=digest, now=now, assurance=assurance)
    if approval.is_covered:
        raise rules.Refused(COVERED, "covered")
    if approval.state != states.PENDING and _is_open(approval):
        raise rules.Conflict(ASKED_AGAIN, "asked_again")
    return _permitted(approval, now)


def break_glass(
    *,
    approval_id: uuid.UUID,
    by: User,
    organization: Organization,
    digest: str,
    reason: str,
    typed: str,
    assurance: str,
) -> Approval:
    """Allows one request outside its rule. Returns what the agent may take now: the request, where it waited; else one
    like it, as what was denied or expired stays so (I1).

    Raises Approval.DoesNotExist for what is not this organization's, and rules.Refused, Conflict or Incomplete.
    """
    reason = reason.strip()
    try:
        with transaction.atomic():
            row = Approval.objects.select_for_update(of=("self",)).get(id=approval_id, organization=organization)
            organization.refresh_from_db(fields=["claim_seconds", "single_operator_since"])
            permitted = check(row, by=by, organization=organization, digest=digest, assurance=assurance)
            ladder.check_words(row.action, reason, typed)
            now = database_now()
            until = now + timedelta(seconds=organization.claim_seconds)
            waited = row.state == states.PENDING and row.expires_at > now
            values = _approved(by, reason, now, until)
            allowed = _approve(row, values, now) if waited else _again(row, permitted, values, now)
            broken = BreakGlass.objects.create(
                organization=organization,
                mode=row.mode,
                approval=allowed,
                instead_of=None if allowed.id == row.id else row,
                user=by,
                user_label=by.email,
                digest=allowed.digest,
                reason=reason,
                assurance=assurance,
                created_at=now,
                due_at=now + DUE,
                remind_at=now + DUE,
            )
            was = states.PENDING if waited else rules.current_state(row.state, row.deadline, now)
            data: dict[str, Any] = {"digest": allowed.digest, "reason": reason, "assurance": assurance, "was": was}
            if broken.instead_of:
                data["instead_of"] = row.approval_id
            tell([allowed], [entry(allowed, "person:approval:break_glass", by.actor, states.APPROVED, data)], now)
            announce([(organization.id, row.mode, "glass.broken", broken.glass_id)])
    except IntegrityError:
        raise rules.Conflict(ASKED_AGAIN, "asked_again") from None
    return allowed


def _approve(row: Approval, values: dict[str, Any], now: datetime) -> Approval:
    changed = Approval.objects.filter(
        id=row.id, state=states.PENDING, digest=row.digest, expires_at__gt=now, frozen_at=None
    ).update(**values)
    all_or_nothing(changed, [row])
    for name, value in values.items():
        setattr(row, name, value)
    return row


COPIED = """
    organization_id mode agent_id agent_slug key_id requesters editors action callee environment amount currency risk
    context reasoning permission rule digest asked asked_context
"""


def _again(row: Approval, permitted: Permitted, approved: dict[str, Any], now: datetime) -> Approval:
    """Another request like the one that ended, approved from its beginning. It takes of its budgets anew."""
    if row.state == states.PENDING:  # overdue: the sweep would have ended it
        values = {"state": states.EXPIRED, "decided_at": now, "reason": "Nobody decided in time"}
        all_or_nothing(Approval.objects.filter(id=row.id, state=states.PENDING).update(**values), [row])
        for name, value in values.items():
            setattr(row, name, value)
        tell([row], [entry(row, "system:approval:expired", SYSTEM, "expired")], now)
    reserved = _reserve(row, *permitted, now)
    if row.reserved:  # it passed on what it held
        Approval.objects.filter(id=row.id).update(reserved=[])
    copied = {name: getattr(row, name) for name in COPIED.split()}
    return Approval.objects.create(
        **copied,
        id=new_id(),
        policy_version=permitted[1].policy.version,
        created_at=now,
        expires_at=approved["claim_until"],
        reserved=reserved,
        reserved_amount=permitted[0].amount,
        **approved,
    )


def _approved(by: User, reason: str, now: datetime, until: datetime) -> dict[str, Any]:
    return {
        "state": states.APPROVED,
        "decided_at": now,
        "decided_by": by,
        "decided_by_label": by.email,
        "reason": reason,
        "code": states.BREAK_GLASS,
        "claim_until": until,
    }


def _permitted(row: Approval, now: datetime) -> Permitted:
    """What the policy of now says of it: it must still be a person's to allow, by the same tier. Raises Conflict."""
    loaded = load(row.organization_id)
    asked = policy.Request(str(row.agent_id), row.action, row.context_data, row.environment or None, row.callee or None)
    decision = policy.decide(loaded.policy, asked, now)
    if decision.outcome == "deny":
        raise rules.Conflict(
            f"The policy denies it: {decision.reason}. Break-glass goes around the approval rule, never around the"
            " policy.",
            "policy",
        )
    other = decision.permission is None or decision.permission.id != row.permission_data["id"]
    if decision.outcome == "ask" and other:
        raise rules.Conflict("Another permission asks for this now: have the agent ask again.", "policy")
    return decision, loaded


def _reserve(row: Approval, decision: policy.Decision, loaded: Loaded, now: datetime) -> list[int]:
    """Counters that the new request takes of, in place of what the old one still holds. Raises Conflict."""
    needs = budgets.needs(loaded.policy.agents[str(row.agent_id)], decision, now)
    outcome = spending.exchange(row.reserved, row.reserved_amount, spending.Wanted(row.mode, needs))
    if outcome.over:
        said = budgets.refusal(*outcome.over)
        raise rules.Conflict(f"{said}. Break-glass goes around the approval rule, never around a budget.", "budget")
    return outcome.reserved


def _is_open(row: Approval) -> bool:
    """Whether another request for what was asked, or for what it was changed to, still waits or may be taken (I4)."""
    still = {"claimed_at": None, "lapsed_at": None, "state__in": [states.PENDING, states.APPROVED]}
    names = [name for name in (row.digest, row.asked) if name]
    same = Q(digest__in=names) | Q(asked__in=names)
    return Approval.objects.filter(same, **still).exclude(id=row.id).exists()


# The review of it


def sign(*, broken: BreakGlass, by: Membership, justified: bool, note: str, typed: str = "") -> BreakGlass:
    """An owner says whether it was justified; what was not, and the agent has not taken yet, it cannot take any more.

    Another owner than who did it; where there is none, they type the organization's slug. Raises Refused.
    """
    note = note.strip()
    with transaction.atomic():
        organization = lock(broken.organization)
        check_by(by, organization, "owners:write")
        row = BreakGlass.objects.select_for_update(of=("self",)).select_related("approval").get(pk=broken.pk)
        if row.signed_at:
            raise Refused(f"It was signed off already, by {row.signed_by_label}.")
        if row.user_id == by.user_id:
            if others := other_owners(by):
                raise Refused(f"You did it yourself: another owner signs it off. There is {', '.join(others)}.")
            if typed.strip() != organization.slug:
                raise Refused(f"There is no other owner: type {organization.slug} to sign off what you did yourself.")
        if not note or len(note) > NOTE:
            raise Refused(f"Say what you found, in at most {NOTE:,} characters: the record keeps it.")
        verdict = BreakGlass.JUSTIFIED if justified else BreakGlass.UNJUSTIFIED
        values = {
            "signed_at": database_now(),
            "signed_by": by.user,
            "signed_by_label": by.user.email,
            "verdict": verdict,
            "note": note,
        }
        all_or_nothing(BreakGlass.objects.filter(pk=row.pk, signed_at=None).update(**values), [row.approval])
        for name, value in values.items():
            setattr(row, name, value)
        data = {"of": row.user_label, "approval": row.approval.approval_id, "verdict": verdict, "note": note}
        _record(row, by, verdict, data)
    return row


def _record(row: BreakGlass, by: By, verdict: str, data: dict[str, Any]) -> None:
    actor = actor_of(by)
    record(
        kind=f"{actor.type}:glass:{verdict}",
        organization_id=row.organization_id,
        mode="test" if row.mode == "test" else "live",
        actor=actor,
        agent=row.approval.agent_slug,
        action=row.approval.action,
        target=row.glass_id,
        data=data,
    )


def remind_due(limit: int = 100) -> int:
    """Alerts of up to `limit` that nobody has signed off in time, and again each day. Returns how many."""
    with transaction.atomic():
        now = database_now()
        rows = list(
            BreakGlass.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("approval")
            .filter(signed_at=None, remind_at__lte=now)
            .order_by("remind_at")[:limit]
        )
        if rows:
            ids = [row.pk for row in rows]
            moved = BreakGlass.objects.filter(pk__in=ids, signed_at=None).update(remind_at=now + DUE)
            all_or_nothing(moved, [row.approval for row in rows])
            late = [
                entry(row.approval, "system:glass:overdue", SYSTEM, "overdue", {"of": row.user_label}) for row in rows
            ]
            record_all(late, at=now)
            announce((row.organization_id, row.mode, "glass.overdue", row.glass_id) for row in rows)
            hints.poke()
        return len(rows)
