"""A row as plain JSON: what the record keeps of a change, and the token that tells whether somebody else was faster."""

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Model

from accounts.models import Team, User
from agents.models import Agent, ApiKey, ApprovalRule, BannedIdentity, Permission, Provisioner
from audit.canonical import canonical

LONG = 500  # characters; of a longer text the record keeps the hash
FIELDS: dict[type[Model], tuple[str, ...]] = {
    Agent: (
        "slug",
        "name",
        "purpose",
        "owner_user",
        "owner_team",
        "notes",
        "documentation",
        "spiffe_id",
        "limits",
        "limit_currency",
        "max_pending",
        "status",
        "last_audited_at",
    ),
    Permission: (
        "action",
        "effect",
        "max_amount",
        "currency",
        "environment",
        "condition",
        "callee",
        "risk",
        "approval_rule",
        "expires_at",
        "limits",
        "notes",
    ),
    ApprovalRule: (
        "name",
        "is_default",
        "roles",
        "teams",
        "people",
        "approvals",
        "alternatives",
        "denials",
        "reason_to_approve",
        "reason_to_deny",
        "minutes",
        "escalation",
        "assurance",
        "confirm_critical",
        "edits_allowed",
        "edit_fields",
        "grants_allowed",
        "critical_seconds",
    ),
    BannedIdentity: ("spiffe_id", "reason"),
    ApiKey: (
        "name",
        "agent",
        "mode",
        "environment",
        "scopes",
        "last4",
        "rate_limit",
        "expires_at",
        "revoked_at",
    ),
    Provisioner: ("name", "agent", "mode", "environment", "last4", "expires_at", "revoked_at"),
}


def facts(row: Model, *, whole: bool = False) -> dict[str, Any]:
    """The fields of a row that people set, as JSON data. Secrets and their hashes are not among them.

    Long texts are given by their hash, unless `whole`.
    """
    return {name: _plain(getattr(row, name), whole=whole) for name in FIELDS[type(row)]}


def token(row: Model) -> str:
    """Changes whenever a fact does: a form carries it, so that nobody overwrites what they were not shown."""
    return hashlib.sha256(canonical(facts(row)).encode()).hexdigest()[:16]


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """`{"before": …, "after": …}`, only what differs; empty where nothing does."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if not names:
        return {}
    return {
        "before": {name: before[name] for name in names if name in before},
        "after": {name: after[name] for name in names if name in after},
    }


def _plain(value: Any, *, whole: bool) -> Any:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f") if value else "0"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, User):
        return value.email
    if isinstance(value, (Team, Agent)):
        return value.slug
    if isinstance(value, Model):
        return str(value)
    if isinstance(value, list):
        return value if value and isinstance(value[0], dict) else sorted(value)
    if isinstance(value, str) and len(value) > LONG and not whole:
        return f"{len(value)} characters, SHA-256 {hashlib.sha256(value.encode()).hexdigest()}"
    return value
