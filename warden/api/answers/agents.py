"""What /api answers of agents, their permissions and keys, and how each is made of a row."""

from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from agents import models as agents
from audit.ids import show_id
from warden.api.answers import Moment, plain
from warden.api.bodies import Effect, Limits, Mode, Risk, Status


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


def banned_identity(row: agents.BannedIdentity) -> BannedIdentity:
    return BannedIdentity(show_id("bid", row.pk), row.spiffe_id, row.reason, row.created_at)
