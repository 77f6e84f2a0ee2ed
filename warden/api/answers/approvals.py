"""What /api answers of rules, approvals and grants, and how each is made of a row."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from django.conf import settings
from msgspec import Meta, Struct

from agents import models as agents
from agents.outlook import Staff
from agents.services import deciders
from agents.services.escalation import named
from approvals import models as approvals
from approvals import rules
from audit.ids import show_id
from warden.api.answers import Moment, plain
from warden.api.bodies import Assurance, Evidence, Mode, Risk, Step, Way

Status = Literal["pending", "approved", "denied", "expired", "cancelled"]


class Rule(Struct):
    id: str
    name: str
    version: Annotated[int, Meta(description="A new number with each change; requests keep theirs.")]
    is_default: bool
    roles: list[str]
    teams: list[str]
    people: list[str]
    approvals: int
    alternatives: list[Way]
    denials: int
    reason_to_approve: bool
    reason_to_deny: bool
    minutes: int
    escalation: list[Step]
    assurance: Assurance
    confirm_critical: bool
    critical_seconds: int
    edits_allowed: bool
    edit_fields: list[str]
    grants_allowed: bool
    stuck: Annotated[
        str, Meta(description="Why nobody could satisfy it as people are now, or not for some agents; else empty.")
    ]
    created_at: Moment


class ReviewAnswer(Struct):
    by: str
    verdict: Literal["approve", "deny"]
    reason: str
    changes: Annotated[bool, Meta(description="A denial that asks for changes.")]
    via: str
    assurance: Assurance
    voided_at: Annotated[Moment | None, Meta(description="The request was changed after this vote.")]
    created_at: Moment


class Changed(Struct):
    field: str
    before: str | int | float | bool
    after: str | int | float | bool


class EditAnswer(Struct):
    """One change of a request by a person."""

    by: str
    reason: str
    changes: list[Changed]
    digest_before: str
    digest_after: str
    via: str
    created_at: Moment


class Approval(Struct):
    """A request of an agent. Send its `digest` with a decision, to be sure of what you decide."""

    id: str
    status: Annotated[Status, Meta(description="As of now.")]
    mode: Mode
    agent_id: str
    agent: str
    action: str
    context: Annotated[msgspec.Raw, Meta(description="What is decided: what the agent asked, as people changed it.")]
    asked_context: Annotated[msgspec.Raw | None, Meta(description="What the agent asked, where people changed it.")]
    reasoning: Annotated[str, Meta(description="Unverified: written by the agent.")]
    amount: Decimal | None
    currency: str
    environment: str
    risk: Risk
    digest: str
    asked_digest: str | None
    permission: Annotated[msgspec.Raw, Meta(description="The tier that asked, as it was.")]
    rule: Annotated[dict[str, Any], Meta(description="The approval rule, as it was.")]
    policy_version: str
    created_at: Moment
    expires_at: Moment
    decided_at: Moment | None
    decided_by: str | None
    reason: str
    code: Annotated[str, Meta(description="changes_requested, break_glass (approved outside its rule), or empty.")]
    broken_glass: Annotated[str | None, Meta(description="By which break-glass (brk_…) it was allowed.")]
    follows: Annotated[str | None, Meta(description="The request that was sent back, which this one came after.")]
    claim_until: Moment | None
    claimed_at: Moment | None
    outcome: str
    outcome_at: Moment | None
    reviews: list[ReviewAnswer]
    edits: list[EditAnswer]
    url: str


class Comment(Struct):
    """What was said about a request. An `answer` is written by the agent: unverified."""

    id: str
    by: str
    kind: Literal["comment", "question", "answer"]
    text: str
    mentions: Annotated[list[str], Meta(description="Members who were told: usr_…")]
    attachment: Evidence | None
    created_at: Moment


class Grant(Struct):
    """More of the same kind, allowed with an approval. `words` says what."""

    id: str
    state: Literal["active", "used", "expired", "revoked"]
    mode: Mode
    agent: str
    action: str
    environment: str
    words: str
    each: Decimal | None
    total: Decimal | None
    used: Decimal
    currency: str
    uses: int
    max_uses: int
    same: msgspec.Raw
    approval_id: str
    granted_by: str
    created_at: Moment
    expires_at: Moment
    revoked_at: Moment | None
    revoked_by: str
    revoked_because: str


def rule(row: agents.ApprovalRule, staff: Staff) -> Rule:
    return Rule(
        id=show_id("rul", row.id),
        name=row.name,
        version=row.version,
        is_default=row.is_default,
        roles=sorted(row.roles),
        teams=deciders.named(row.ways[0])["teams"],
        people=deciders.named(row.ways[0])["people"],
        approvals=row.approvals,
        alternatives=[Way(approvals=way["approvals"], **deciders.named(way)) for way in row.alternatives],
        denials=row.denials,
        reason_to_approve=row.reason_to_approve,
        reason_to_deny=row.reason_to_deny,
        minutes=row.minutes,
        escalation=[Step(**step) for step in named(row.escalation)],
        assurance=row.assurance,  # type: ignore[arg-type]
        confirm_critical=row.confirm_critical,
        critical_seconds=row.critical_seconds,
        edits_allowed=row.edits_allowed,
        edit_fields=row.edit_fields,
        grants_allowed=row.grants_allowed,
        stuck=staff.trouble(row),
        created_at=row.created_at,
    )


def approval(row: approvals.Approval, now: datetime) -> Approval:
    """`row` with its reviews and their people, as of `now`, the database's clock."""
    return Approval(
        id=row.approval_id,
        status=rules.current_state(row.state, row.deadline, now),  # type: ignore[arg-type]
        mode=row.mode,  # type: ignore[arg-type]
        agent_id=str(row.agent_id),
        agent=row.agent_slug,
        action=row.action,
        context=msgspec.Raw(row.context.encode()),
        asked_context=msgspec.Raw(row.asked_context.encode()) if row.is_edited else None,
        reasoning=row.reasoning,
        amount=plain(row.amount),
        currency=row.currency,
        environment=row.environment,
        risk=row.risk,  # type: ignore[arg-type]
        digest=row.digest,
        asked_digest=row.asked,
        permission=msgspec.Raw(row.permission.encode()),
        rule=row.rule,
        policy_version=row.policy_version,
        created_at=row.created_at,
        expires_at=row.expires_at,
        decided_at=row.decided_at,
        decided_by=row.decided_by_label or None,
        reason=row.reason,
        code=row.code,
        broken_glass=row.broken_glass.glass_id if row.is_outside_rule else None,
        follows=show_id("apr", row.follows_id) if row.follows_id else None,
        claim_until=row.claim_until,
        claimed_at=row.claimed_at,
        outcome=row.outcome,
        outcome_at=row.outcome_at,
        reviews=[
            ReviewAnswer(
                each.user.email,
                each.verdict,  # type: ignore[arg-type]
                each.reason,
                each.changes,
                each.via,
                each.assurance,  # type: ignore[arg-type]
                each.voided_at,
                each.created_at,
            )
            for each in row.reviews.all()
        ],
        edits=[
            EditAnswer(
                each.user.email,
                each.reason,
                [Changed(*line) for line in each.changes],
                each.digest_before,
                each.digest_after,
                each.via,
                each.created_at,
            )
            for each in row.edits.all()
        ],
        url=f"{settings.SITE_URL}/approvals/{row.approval_id}",
    )


def grant(row: approvals.Grant, now: datetime) -> Grant:
    return Grant(
        id=row.grant_id,
        state=row.state(now),  # type: ignore[arg-type]
        mode=row.mode,  # type: ignore[arg-type]
        agent=row.agent_slug,
        action=row.action,
        environment=row.environment,
        words=row.words,
        each=plain(row.each),
        total=plain(row.total),
        used=plain(row.used) or Decimal(0),
        currency=row.currency,
        uses=row.uses,
        max_uses=row.max_uses,
        same=msgspec.Raw(row.same.encode()),
        approval_id=row.approval.approval_id,
        granted_by=row.granted_by_label,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by_label,
        revoked_because=row.revoked_because,
    )


def comment(row: approvals.Comment) -> Comment:
    return Comment(
        id=row.comment_id,
        by=row.author,
        kind=row.kind,  # type: ignore[arg-type]
        text=row.text,
        mentions=[show_id("usr", each) for each in row.mentions],
        attachment=Evidence(row.evidence_name, row.evidence) if row.evidence else None,
        created_at=row.created_at,
    )
