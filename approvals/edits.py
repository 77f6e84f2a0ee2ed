"""Changes what a request asks, before it is approved: what is decided from then on is another digest.

The policy decides again, on the request as changed; the votes so far are void; who changed it cannot decide it.

A client of AAP runs a call as it asked for it, or not at all. So changing its request denies it, with what it would
have to be; the client asks again, and that is decided like any other.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from accounts.models import Membership, Organization, User
from agents import assurance as levels
from agents import policy, spending
from agents.load import load
from agents.policy import budgets
from approvals import editing, rules, states
from approvals.case import case_of, people_of, person_of
from approvals.digest import digest as digest_of
from approvals.models import Approval, Edit, Review
from approvals.services import CHANNEL, review
from audit.canonical import canonical
from audit.clock import database_now
from audit.leaf import Entry, Mode
from audit.record import record_all
from notifications import hints
from notifications.outbox import announce

RISKS = ("low", "medium", "high", "critical")
SHOWN = 300  # characters of a value in the words for an agent
COVERED = "Values of this request are withheld or encrypted: it cannot be changed. Deny it, and have it asked again."
TWICE = "Another request asks exactly that already: decide that one, and deny this."


@dataclass(frozen=True, slots=True)
class Planned:
    """What a change would come to. `values` are the columns of the approval."""

    changes: list[editing.Change]
    policy: str
    values: dict[str, Any]
    wanted: spending.Wanted

    @property
    def lines(self) -> list[tuple[str, Any, Any]]:
        return [(each.field, each.before, each.after) for each in self.changes]


def plan(
    approval: Approval, *, by: User, organization: Organization, values: Mapping[str, Any], digest: str, assurance: str
) -> Planned:
    """What changing it so would come to. Raises rules.Refused, Conflict or Incomplete where it cannot be done."""
    now = database_now()
    case = case_of(approval, organization)
    rules.check_change(case, now)
    rules.check_person(case, person_of(organization.id, by.id))
    rules.check_assurance(case, assurance)
    rules.check_shown(case, digest)
    if approval.is_covered:
        raise rules.Refused(COVERED, "edit_covered")
    changed = editing.changes(case.rule, approval.context_data, values)
    context = {**approval.context_data, **{each.field: each.after for each in changed}}
    columns, words, wanted = _decide_again(approval, context, now)
    if _exists(approval, columns["digest"]):
        raise rules.Conflict(TWICE, "edit_twice")
    if not approval.by_aap and not _others(case, organization, by):
        raise rules.Refused("Nobody else could decide it then: who changes a request cannot decide it.", "edit_alone")
    _check_budget(spending.exchange(approval.reserved, approval.reserved_amount, wanted, look=True))
    return Planned(changed, words, columns, wanted)


def edit(
    *,
    approval_id: uuid.UUID,
    by: User,
    organization: Organization,
    values: Mapping[str, Any],
    reason: str,
    digest: str,
    via: str,
    assurance: str = "",
) -> Approval:
    """Changes these fields of the context of a pending request; denies it where AAP asked. Returns it as it is then.

    Raises Approval.DoesNotExist for what is not this organization's, and rules.Refused, Conflict or Incomplete.
    """
    assurance = assurance or (levels.BROWSER if via == "browser" else levels.SLACK)
    reason = reason.strip()
    try:
        with transaction.atomic():
            approval = Approval.objects.select_for_update(of=("self",)).get(id=approval_id, organization=organization)
            organization.refresh_from_db(fields=["single_operator_since"])
            planned = plan(
                approval, by=by, organization=organization, values=values, digest=digest, assurance=assurance
            )
            rules.check_reason(replace(case_of(approval, organization), rule=_WANTS_REASON), "approve", reason)
            if approval.by_aap:
                return review(
                    approval_id=approval.id,
                    by=by,
                    organization=organization,
                    verdict="deny",
                    reason=wanted(planned, reason),
                    digest=digest,
                    via=via,
                    assurance=assurance,
                    changes=True,
                )
            _write(approval, planned, by=by, reason=reason, via=via, assurance=assurance)
    except IntegrityError:  # a check asked exactly that at the same moment
        raise rules.Conflict(TWICE, "edit_twice") from None
    return approval


def wanted(planned: Planned, reason: str) -> str:
    """What the agent has to ask instead, in words for it."""
    lines = [f"{each.field}: {_short(each.after)} instead of {_short(each.before)}" for each in planned.changes]
    return f"{reason}\nAsk again with {'; '.join(lines)}."


def _short(value: Any) -> str:
    text = canonical(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


_WANTS_REASON = rules.Rule(reason_to_approve=True)


def _decide_again(
    approval: Approval, context: dict[str, Any], now: datetime
) -> tuple[dict[str, Any], str, spending.Wanted]:
    """The columns of the request as changed, the policy's word on it, and what it takes of budgets.

    Raises rules.Conflict where the policy says no.
    """
    loaded = load(approval.organization_id)
    request = policy.Request(
        str(approval.agent_id), approval.action, context, approval.environment or None, approval.callee or None
    )
    decision = policy.decide(loaded.policy, request, now)
    if decision.outcome == "deny":
        raise rules.Conflict(f"The policy denies it so: {decision.reason}.", "edit_policy")
    snapshot, risk, permission_id = approval.permission, approval.risk, str(approval.permission_data["id"])
    words = f"Allowed by '{decision.permission.action}'; it still waits for a person" if decision.permission else ""
    if decision.outcome == "ask":
        if decision.permission is None:
            raise RuntimeError("an ask without its permission")
        words = f"'{decision.permission.action}' asks a person"
        if decision.permission.id != permission_id:
            # Another tier, and perhaps other people: theirs to decide only if it is the very same rule.
            kept = loaded.permissions[decision.permission.id]
            if dict(kept.rule) != approval.rule:
                raise rules.Conflict(
                    f"Changed so, '{decision.permission.action}' asks by another rule: deny this, and have it asked"
                    " again.",
                    "edit_policy",
                )
            snapshot, permission_id = kept.snapshot, decision.permission.id
            risk = max(risk, decision.permission.risk, key=RISKS.index)
    new = digest_of(
        organization_id=approval.organization_id,
        mode=approval.mode,
        agent_id=approval.agent_id,
        action=approval.action,
        callee=approval.callee,
        environment=approval.environment,
        context=context,
        permission_id=permission_id,
        request_id=approval.id if approval.by_aap else None,
    )
    asked = approval.asked or approval.digest
    restored = new == asked
    columns = {
        "context": canonical(context),
        "digest": new,
        "amount": decision.amount,
        "permission": snapshot,
        "risk": risk,
        "policy_version": loaded.policy.version,
        "asked": None if restored else asked,
        "asked_context": "" if restored else approval.asked_context or approval.context,
    }
    wanted = spending.Wanted(approval.mode, budgets.needs(loaded.policy.agents[request.agent], decision, now))
    return columns, words, wanted


def _check_budget(outcome: spending.Outcome) -> list[int]:
    """The counters it is reserved on then. Raises rules.Conflict where a budget has no room for it."""
    if outcome.over:
        raise rules.Conflict(f"{budgets.refusal(*outcome.over)}.", "edit_budget")
    return outcome.reserved


def _exists(approval: Approval, digest: str) -> bool:
    still = Q(state=states.PENDING) | Q(state=states.APPROVED, claimed_at=None, lapsed_at=None)
    return Approval.objects.filter(Q(digest=digest) | Q(asked=digest), still).exclude(id=approval.id).exists()


def _others(case: rules.Case, organization: Organization, by: User) -> bool:
    """Whether somebody could decide it once `by` has changed it and the votes so far are void."""
    then = replace(case, votes=(), editors=case.editors | {by.id})
    members = Membership.objects.filter(organization=organization, user__is_active=True)
    people = people_of(organization.id, members.values_list("user_id", flat=True))
    return any(rules.can_person(then, person) for person in people.values())


def _write(approval: Approval, planned: Planned, *, by: User, reason: str, via: str, assurance: str) -> None:
    now = database_now()
    before = {"digest": approval.digest, "context": approval.context}
    editors = [*approval.editors, *([] if by.id in approval.editors else [by.id])]
    values = planned.values | {"editors": editors}
    changed = Approval.objects.filter(
        id=approval.id, state=states.PENDING, digest=approval.digest, expires_at__gt=now
    ).update(**values)
    if changed != 1:
        raise RuntimeError(f"{approval.approval_id} changed while it was locked: nothing is committed")
    # Counters are locked after the digest, as agents do it: who asks exactly this at the moment waits for the digest.
    counters = _check_budget(spending.exchange(approval.reserved, approval.reserved_amount, planned.wanted))
    taken = {"reserved": counters, "reserved_amount": planned.values["amount"] if counters else None}
    Approval.objects.filter(id=approval.id).update(**taken)
    for name, value in (values | taken).items():
        setattr(approval, name, value)
    vars(approval).pop("context_data", None)
    vars(approval).pop("permission_data", None)
    void = Review.objects.filter(approval=approval, voided_at=None).update(voided_at=now)
    diff = [[each.field, each.before, each.after] for each in planned.changes]
    Edit.objects.create(
        approval=approval,
        user=by,
        reason=reason,
        changes=diff,
        context_before=before["context"],
        digest_before=before["digest"],
        digest_after=approval.digest,
        via=via,
        created_at=now,
    )
    mode: Mode = "test" if approval.mode == "test" else "live"
    entry = Entry(
        kind="person:approval:edit",
        organization_id=approval.organization_id,
        mode=mode,
        actor=by.actor,
        agent=approval.agent_slug,
        action=approval.action,
        target=approval.approval_id,
        data={
            "was": before["digest"],
            "digest": approval.digest,
            "changed": diff,
            "edited": [each.field for each in planned.changes],
            "reason": reason,
            "votes_void": void,
            "policy_version": approval.policy_version,
            "permission": approval.permission_data["action"],
            "via": via,
            "assurance": assurance,
        },
    )
    record_all([entry], at=now)
    announce([(approval.organization_id, approval.mode, "approval.edited", approval.approval_id)])
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(approval.id)])
    hints.poke()
