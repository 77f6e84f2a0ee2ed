"""/api/approvals: what waits for people, and their decisions. The rules are those of the browser."""

import uuid
from datetime import datetime
from typing import Annotated

from django.db.models import Q, QuerySet
from msgspec import Meta, Struct

from approvals import comments, edits, rules, states, together
from approvals.models import Approval, still_waits
from approvals.rules import Verdict
from approvals.services import review
from approvals.terms import Terms
from audit.clock import database_now
from audit.ids import read_id
from warden.api import finding
from warden.api.answers import approvals as answers
from warden.api.bodies import ApprovalsQuery, Approve, Change, Decide, Deny, Line, Mode, NewComment, Text
from warden.api.endpoint import Call, endpoint
from warden.api.errors import UNREACHABLE, Failure


def _approvals(call: Call) -> QuerySet[Approval]:
    return Approval.objects.filter(organization=call.organization).prefetch_related("reviews__user", "edits__user")


def _one(call: Call, approval_id: str) -> Approval:
    return finding.one(_approvals(call), "apr", approval_id, "Approval")


@endpoint("GET", "approvals", "approvals:read")
def list_approvals(call: Call, query: ApprovalsQuery) -> list[answers.Approval]:
    """List approvals, newest first."""
    now = database_now()
    rows = _approvals(call).filter(mode=query.mode)
    match query.status:
        case states.PENDING:
            rows = rows.filter(still_waits(now))
        case states.EXPIRED:
            rows = rows.filter(Q(state=states.EXPIRED) | Q(state=states.PENDING) & ~still_waits(now))
        case str():
            rows = rows.filter(state=query.status)
    if query.agent_id:
        rows = rows.filter(agent=finding.agent(call, query.agent_id))
    if query.after:
        rows = rows.filter(id__lt=cursor("apr", query.after))
    return [answers.approval(row, now) for row in rows.order_by("-id")[: query.limit]]


HALFWAY = "The database cannot be reached. Some may be decided: send the same again, nobody votes twice."


class Item(Struct, forbid_unknown_fields=True):
    """One of several: which, and what you were shown."""

    id: Line
    digest: Annotated[Line, Meta(description="Of what you were shown. If it is another by now, it is left as it is.")]


class DecideTogether(Struct, forbid_unknown_fields=True):
    verdict: Verdict
    approvals: Annotated[list[Item], Meta(min_length=1, max_length=together.MOST)]
    reason: Annotated[Text, Meta(description="Of each of them. The agents and the record keep it.")] = ""
    mode: Mode = "live"


class Together(Struct):
    """What came of one of them."""

    id: str
    voted: Annotated[bool, Meta(description="Whether your vote on it counts.")]
    status: Annotated[answers.Status | None, Meta(description="As of now; null: it is not there.")]
    code: Annotated[str | None, Meta(description="Why you did not vote on it, for programs.")] = None
    detail: Annotated[str | None, Meta(description="Why you did not vote on it.")] = None


@endpoint("POST", "approvals/together", "approvals:decide")
def decide_together(call: Call, body: DecideTogether) -> list[Together]:
    """Approve or deny several requests of low risk. Each is its own vote and its own event; what is of another risk,
    or was decided, changed or stopped meanwhile, is left as it is and told in its place. Read each answer.
    """
    named = [(item, read_id("apr", item.id)) for item in body.approvals]
    chosen = [(number, item.digest) for item, number in named if number]
    if len(dict(chosen)) < len(chosen):
        raise Failure(422, "approvals: one is named twice")
    try:
        outcomes = together.decide(
            chosen=chosen,
            by=call.membership.user,
            organization=call.organization,
            mode=body.mode,
            verdict=body.verdict,
            reason=body.reason,
            via="api",
        )
    except UNREACHABLE as error:
        raise Failure(503, HALFWAY, **{"Retry-After": "1"}) from error
    now, of = database_now(), {outcome.approval.pk: outcome for outcome in outcomes}
    return [_told(item.id, of.get(number) if number else None, now) for item, number in named]


def _told(name: str, outcome: together.Outcome | None, now: datetime) -> Together:
    if outcome is None:
        return Together(name, voted=False, status=None, code="not_found", detail="Approval not found")
    row = outcome.approval
    status = rules.current_state(row.state, row.deadline, now)
    why = outcome.refused or None
    return Together(name, voted=why is None, status=status, code=outcome.code or None, detail=why)  # type: ignore[arg-type]


@endpoint("GET", "approvals/{approval_id}", "approvals:read")
def get_approval(call: Call, approval_id: str) -> answers.Approval:
    """Get an approval."""
    return answers.approval(_one(call, approval_id), database_now())


@endpoint("POST", "approvals/{approval_id}/approve", "approvals:decide")
def approve(call: Call, approval_id: str, body: Approve) -> answers.Approval:
    """Approve a request. It is approved once as many people as its rule asks for have said so."""
    asked = body.grant
    terms = Terms(asked.minutes, asked.uses, asked.each, asked.total, frozenset(asked.same)) if asked else None
    return _review(call, approval_id, body, "approve", grant=terms)


@endpoint("POST", "approvals/{approval_id}/deny", "approvals:decide")
def deny(call: Call, approval_id: str, body: Deny) -> answers.Approval:
    """Deny a request. Say why: the agent gets to read it."""
    return _review(call, approval_id, body, "deny", changes=body.changes)


@endpoint("POST", "approvals/{approval_id}/change", "approvals:decide")
def change_approval(call: Call, approval_id: str, body: Change) -> answers.Approval:
    """Change what a request asks, where its rule lets you. The votes so far are void, and others decide it."""
    row = _one(call, approval_id)
    edits.edit(
        approval_id=row.pk,
        by=call.membership.user,
        organization=call.organization,
        values=body.values,
        reason=body.reason,
        digest=body.digest or row.digest,
        via="api",
    )
    return get_approval(call, approval_id)


@endpoint("GET", "approvals/{approval_id}/comments", "approvals:read")
def list_comments(call: Call, approval_id: str) -> list[answers.Comment]:
    """List what was said about a request, oldest first."""
    return [answers.comment(row) for row in _one(call, approval_id).comments.order_by("id")]


@endpoint("POST", "approvals/{approval_id}/comments", "approvals:comment", 201)
def comment_on_approval(call: Call, approval_id: str, body: NewComment) -> answers.Comment:
    """Comment on a request, or ask its agent."""
    attached = body.attachment
    said = comments.comment(
        approval_id=_one(call, approval_id).pk,
        by=call.membership.user,
        organization=call.organization,
        text=body.text,
        question=body.question,
        evidence=comments.Evidence.of(attached.name, attached.text) if attached else None,
        via="api",
    )
    return answers.comment(said)


def _review(
    call: Call, approval_id: str, body: Decide, verdict: Verdict, *, changes: bool = False, grant: Terms | None = None
) -> answers.Approval:
    row = _one(call, approval_id)
    review(
        approval_id=row.pk,
        by=call.membership.user,
        organization=call.organization,
        verdict=verdict,
        reason=body.reason,
        digest=body.digest or row.digest,
        via="api",
        typed=body.typed,
        changes=changes,
        grant=grant,
    )
    return get_approval(call, approval_id)


def cursor(prefix: str, text: str) -> uuid.UUID:
    """The row that `after` names. Raises Failure (422)."""
    number = read_id(prefix, text)
    if number is None:
        raise Failure(422, f"after: not an id such as {prefix}_01J…")
    return number
