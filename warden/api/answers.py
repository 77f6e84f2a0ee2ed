"""What /api answers with, and how each is made of a row."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from django.conf import settings
from msgspec import Meta, Struct

from accounts import models as accounts
from accounts.tokens import token_may
from agents import models as agents
from agents.outlook import Staff, stuck_words
from agents.services import deciders
from agents.services.escalation import named
from approvals import models as approvals
from approvals import rules
from audit.ids import show_id
from audit.models import Event as Recorded
from warden.api.bodies import Assurance, Effect, Evidence, Limits, LogName, Mode, Risk, Role, Status, Step, Way

Moment = Annotated[datetime, Meta(tz=True)]


class Agent(Struct):
    """`id` and `slug` both name it to /sdk and /api."""

    id: str
    slug: str
    name: str
    purpose: str
    status: Status
    owner_email: str | None
    owner_team: str | None
    notes: str
    documentation: str
    spiffe_id: str | None
    limits: Limits
    limit_currency: str
    max_pending: int
    organization_id: str
    created_at: Moment
    last_audited_at: Moment | None


class Permission(Struct):
    id: str
    agent_id: str
    action: str
    effect: Effect
    requires_approval: bool
    max_amount: Decimal | None
    currency: str
    environment: str
    condition: str
    callee: str
    risk: Risk
    approval_rule: str | None
    expires_at: Moment | None
    limits: Limits
    notes: str
    created_at: Moment
    changed_at: Moment


class Key(Struct):
    """An agent's key, without its secret."""

    id: str
    name: str
    mode: Mode
    agent_id: Annotated[str | None, Meta(description="null: every agent of the organization.")]
    environment: str
    scopes: list[str]
    last4: str
    rate_limit: int | None
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    last_used_at: Moment | None
    rolled_to: str | None


class BannedIdentity(Struct):
    """A SPIFFE ID by which, and to which, nothing is allowed."""

    id: str
    spiffe_id: str
    reason: str
    created_at: Moment


class NewKeyAnswer(Struct):
    """The only time that the key itself is shown."""

    api_key: str
    key: Key


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
    stuck: Annotated[str, Meta(description="Why nobody could satisfy it as people are now; empty where somebody can.")]
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
    status: Annotated[Literal["pending", "approved", "denied", "expired", "cancelled"], Meta(description="As of now.")]
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


class Log(Struct):
    """What an agent said came of an action."""

    id: str
    agent_id: str
    organization_id: str
    action: str
    status: str
    context: dict[str, Any] | None
    created_at: Moment
    approval_id: str | None
    decision_id: str | None
    ip_address: str | None


class Event(Struct):
    """One event of the record. `leaf` is SHA-256 of a zero byte and the canonical JSON of `event`."""

    id: str
    leaf: str
    event: msgspec.Raw


class Checkpoint(Struct):
    """A signed statement of a log's size and root; `note` is it as c2sp.org/tlog-checkpoint has it."""

    size: int
    root: str
    created_at: Moment
    note: str


class RecordLog(Struct):
    mode: LogName
    origin: str
    checkpoint: Checkpoint
    lag_seconds: Annotated[float, Meta(description="Age of the organization's oldest event that is in no log yet.")]


class RecordKey(Struct):
    verifier_key: Annotated[str, Meta(description="As warden-verify and verify_receipt take it.")]
    jwk: Annotated[dict[str, str], Meta(description="As JOSE libraries take it (RFC 8037).")]
    since: Moment
    certificate: Annotated[str, Meta(description="The word of the key before it, a signed note; empty: there is none.")]


class Proof(Struct):
    """That an event is in its log: `hashes` lead from its leaf to the checkpoint's root. In base64."""

    origin: str
    index: int
    leaf: str
    hashes: list[str]
    checkpoint: Checkpoint
    file: str


class Consistency(Struct):
    """That the log of size `new` begins with the log of size `old`. `hashes` are in base64."""

    origin: str
    old: int
    new: int
    hashes: list[str]


class Organization(Struct):
    id: str
    slug: str
    name: str
    environments: list[str]
    cooldown_seconds: int
    claim_seconds: int
    authz_paths: list[str]
    policy_by_two: bool
    deny_when_late: bool
    retention_months: int
    legal_hold: bool
    single_operator_since: Annotated[
        Moment | None, Meta(description="While this is set, people may approve what their own agents ask.")
    ]
    single_operator_by: str
    created_at: Moment


class TokenHolder(Struct):
    """A token, its person, and the scopes that the person's role includes now."""

    token_id: str
    token_name: str
    email: str
    name: str
    role: Role
    organization_id: str
    organization: str
    scopes: list[str]
    expires_at: Moment | None


class Member(Struct):
    id: str
    email: str
    name: str
    role: Role
    breaks_glass: Annotated[bool, Meta(description="May allow single requests outside their rule, in the browser.")]
    teams: list[str]
    created_at: Moment


class Team(Struct):
    id: str
    slug: str
    name: str
    members: list[str]
    created_at: Moment


class Invitation(Struct):
    id: str
    email: str
    role: Role
    invited_by: str | None
    created_at: Moment
    expires_at: Moment


class NewInvitationAnswer(Struct):
    """The only time that the link is shown. `mail_error` says why no mail went out, if none did."""

    link: str
    mail_error: str
    invitation: Invitation


def agent(row: agents.Agent) -> Agent:
    return Agent(
        id=str(row.id),
        slug=row.slug,
        name=row.name,
        purpose=row.purpose,
        status=row.status,  # type: ignore[arg-type]
        owner_email=row.owner_user.email if row.owner_user else None,
        owner_team=row.owner_team.slug if row.owner_team else None,
        notes=row.notes,
        documentation=row.documentation,
        spiffe_id=row.spiffe_id,
        limits=limits(row.limits),
        limit_currency=row.limit_currency,
        max_pending=row.max_pending,
        organization_id=str(row.organization_id),
        created_at=row.created_at,
        last_audited_at=row.last_audited_at,
    )


def permission(row: agents.Permission) -> Permission:
    return Permission(
        id=show_id("prm", row.id),
        agent_id=str(row.agent_id),
        action=row.action,
        effect=row.effect,  # type: ignore[arg-type]
        requires_approval=row.effect == "ask",
        max_amount=plain(row.max_amount),
        currency=row.currency,
        environment=row.environment,
        condition=row.condition,
        callee=row.callee,
        risk=row.risk,  # type: ignore[arg-type]
        approval_rule=show_id("rul", row.approval_rule_id) if row.approval_rule_id else None,
        expires_at=row.expires_at,
        limits=limits(row.limits),
        notes=row.notes,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def limits(kept: dict[str, Any]) -> Limits:
    """Totals as numbers again; they are kept as text, exactly."""
    return msgspec.convert(kept, Limits, strict=False)


def plain(amount: Decimal | None) -> Decimal | None:
    """Without the zeros that the column adds, and never in powers of ten."""
    return None if amount is None else Decimal(format(amount.normalize(), "f"))


def key(row: agents.ApiKey) -> Key:
    return Key(
        id=show_id("key", row.id),
        name=row.name,
        mode=row.mode,  # type: ignore[arg-type]
        agent_id=str(row.agent_id) if row.agent_id else None,
        environment=row.environment,
        scopes=row.scopes,
        last4=row.last4,
        rate_limit=row.rate_limit,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        rolled_to=show_id("key", row.rolled_to_id) if row.rolled_to_id else None,
    )


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
        stuck=stuck_words(staff.chances(row)) if staff.is_stuck(row) else "",
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


def log(row: Recorded) -> Log:
    data = row.data
    return Log(
        id=show_id("log", row.id),
        agent_id=row.agent,
        organization_id=str(row.organization_id),
        action=row.action,
        status=row.result,
        context=data.get("context"),
        created_at=row.at.astimezone(UTC),
        approval_id=row.target if row.target.startswith("apr_") else None,
        decision_id=row.target if row.target.startswith("dec_") else None,
        ip_address=data.get("ip_address"),
    )


def event(row: Recorded) -> Event:
    return Event(row.event_id, bytes(row.leaf).hex(), msgspec.Raw(row.body.encode()))


def banned_identity(row: agents.BannedIdentity) -> BannedIdentity:
    return BannedIdentity(show_id("bid", row.pk), row.spiffe_id, row.reason, row.created_at)


def organization(row: accounts.Organization) -> Organization:
    return Organization(
        id=str(row.id),
        slug=row.slug,
        name=row.name,
        environments=row.environments,
        cooldown_seconds=row.cooldown_seconds,
        claim_seconds=row.claim_seconds,
        authz_paths=row.authz_paths,
        policy_by_two=row.policy_by_two,
        deny_when_late=row.deny_when_late,
        retention_months=row.retention_months,
        legal_hold=row.legal_hold,
        single_operator_since=row.single_operator_since,
        single_operator_by=row.single_operator_by,
        created_at=row.created_at,
    )


def token_holder(row: accounts.AccessToken) -> TokenHolder:
    return TokenHolder(
        token_id=show_id("tok", row.id),
        token_name=row.name,
        email=row.user.email,
        name=row.user.name,
        role=row.membership.role,  # type: ignore[arg-type]
        organization_id=str(row.organization_id),
        organization=row.organization.slug,
        scopes=sorted(scope for scope in row.scopes if token_may(row, scope)),
        expires_at=row.expires_at,
    )


def member(row: accounts.Membership) -> Member:
    return Member(
        id=show_id("usr", row.user_id),
        email=row.user.email,
        name=row.user.name,
        role=row.role,  # type: ignore[arg-type]
        breaks_glass=row.breaks_glass,
        teams=sorted(team.slug for team in row.teams.all()),
        created_at=row.created_at,
    )


def team(row: accounts.Team) -> Team:
    people = sorted(each.user.email for each in row.members.all())
    return Team(show_id("team", row.id), row.slug, row.name, people, row.created_at)


def invitation(row: accounts.Invitation) -> Invitation:
    return Invitation(
        id=show_id("inv", row.id),
        email=row.email,
        role=row.role,  # type: ignore[arg-type]
        invited_by=row.invited_by.email if row.invited_by else None,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
