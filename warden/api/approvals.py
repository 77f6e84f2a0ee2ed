"""/api/approvals: what waits for people, and their decisions. The rules are those of the browser."""

import uuid

from django.db.models import Q, QuerySet

from approvals import comments, edits, states
from approvals.models import Approval, still_waits
from approvals.rules import Verdict
from approvals.services import review
from approvals.terms import Terms
from audit.clock import database_now
from audit.ids import read_id
from warden.api import finding
from warden.api.answers import approvals as answers
from warden.api.bodies import ApprovalsQuery, Approve, Change, Decide, Deny, NewComment
from warden.api.endpoint import Call, endpoint
from warden.api.errors import Failure


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
