"""/api/policy/proposals: where changing the policy takes two, one proposes and another accepts."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from agents.models import PolicyProposal
from agents.services import proposals as services
from warden.api import finding
from warden.api.answers import Moment
from warden.api.bodies import PLAIN, Line
from warden.api.endpoint import Call, endpoint
from warden.api.policy import PolicyFiles, files_of


class ProposePolicy(PolicyFiles, forbid_unknown_fields=True, kw_only=True):
    source: Annotated[str, Meta(max_length=200, pattern=PLAIN)] = ""


class AcceptProposal(Struct, forbid_unknown_fields=True):
    digest: Annotated[Line, Meta(description="Of the proposal that you were shown.")]


class RejectProposal(Struct, forbid_unknown_fields=True):
    reason: Line


class Proposal(Struct):
    """A proposed change, as it was planned. Accepting it applies exactly what `digest` names, or nothing."""

    id: str
    state: Literal["waiting", "applied", "rejected"]
    digest: str
    summary: str
    text: str
    source: str
    proposed_at: Moment
    proposed_by: str | None
    decided_at: Moment | None
    decided_by: str | None
    reason: str


def _answer(row: PolicyProposal) -> Proposal:
    return Proposal(
        row.proposal_id,
        row.state,  # type: ignore[arg-type]
        row.digest,
        row.summary,
        row.words,
        row.source,
        row.proposed_at,
        row.proposed_by.email if row.proposed_by else None,
        row.decided_at,
        row.decided_by.email if row.decided_by else None,
        row.reason,
    )


def _find(call: Call, text: str) -> PolicyProposal:
    rows = PolicyProposal.objects.filter(organization=call.organization)
    return finding.one(rows.select_related("organization", "proposed_by", "decided_by"), "ppr", text, "Proposal")


@endpoint("GET", "policy/proposals", "agents:read")
def list_proposals(call: Call) -> list[Proposal]:
    """List proposed changes of the policy, newest first, a hundred at most."""
    rows = PolicyProposal.objects.filter(organization=call.organization).select_related("proposed_by", "decided_by")
    return [_answer(row) for row in rows[:100]]


@endpoint("GET", "policy/proposals/{proposal_id}", "agents:read")
def get_proposal(call: Call, proposal_id: str) -> Proposal:
    """Get one proposed change: what it changes, and the digest to accept it by."""
    return _answer(_find(call, proposal_id))


@endpoint("POST", "policy/proposals", "agents:write", 201)
def propose_policy(call: Call, body: ProposePolicy) -> Proposal:
    """Propose files for somebody else to accept."""
    row = services.propose(
        organization=call.organization,
        by=call.membership,
        files=files_of(body),
        source=body.source,
        prune=body.prune,
    )
    return _answer(_find(call, row.proposal_id))


@endpoint("POST", "policy/proposals/{proposal_id}/accept", "agents:write")
def accept_proposal(call: Call, proposal_id: str, body: AcceptProposal) -> Proposal:
    """Apply what somebody else proposed, exactly. 409 where it, or what there is, is another by now."""
    services.accept(proposal=_find(call, proposal_id), by=call.membership, digest=body.digest)
    return _answer(_find(call, proposal_id))


@endpoint("POST", "policy/proposals/{proposal_id}/reject", "agents:write")
def reject_proposal(call: Call, proposal_id: str, body: RejectProposal) -> Proposal:
    """Reject a proposal, or withdraw your own. Nothing is changed."""
    services.reject(proposal=_find(call, proposal_id), by=call.membership, reason=body.reason)
    return _answer(_find(call, proposal_id))
