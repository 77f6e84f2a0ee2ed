"""The version of a policy is the hash of its content: the same content has the same version, everywhere."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

from .model import Agent, Limit, Permission
from .money import plain
from .stops import Stop


def content_hash(
    *,
    organization_id: str,
    stops: Iterable[Stop],
    environments: Iterable[str],
    agents: Iterable[Agent],
    banned: Iterable[str] = (),
    external: Mapping[str, Any] | None = None,
) -> str:
    """`pv_` and 24 hexadecimal digits: SHA-256 over canonical JSON, whatever order the parts came in."""
    content = {
        "organization": organization_id,
        "stops": [{"agent": stop.agent, "pattern": stop.pattern} for stop in sorted(stops)],
        "environments": sorted(environments),
        "agents": [_agent(agent) for agent in sorted(agents, key=lambda agent: agent.id)],
        **({"banned": listed} if (listed := sorted(banned)) else {}),
        **({"external_opa": dict(external)} if external else {}),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"pv_{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _agent(agent: Agent) -> dict[str, Any]:
    return {
        "id": agent.id,
        "slug": agent.slug,
        "status": agent.status,
        "spiffe_id": agent.spiffe_id,
        "limits": limits(agent.limits),
        "permissions": [_permission(each) for each in sorted(agent.permissions, key=lambda each: each.id)],
    }


def _permission(permission: Permission) -> dict[str, Any]:
    expires_at = permission.expires_at
    return {
        "id": permission.id,
        "action": permission.action,
        "effect": permission.effect,
        "max_amount": None if permission.max_amount is None else plain(permission.max_amount),
        "currency": permission.currency,
        "environment": permission.environment,
        "condition": permission.condition,
        "callee": permission.callee,
        "risk": permission.risk,
        "approval_rule": permission.approval_rule,
        "expires_at": None if expires_at is None else expires_at.astimezone(UTC).isoformat(),
        "limits": limits(permission.limits),
    }


def limits(given: tuple[Limit, ...]) -> list[list[str]]:
    """Budgets as JSON, such as ["day", "500.00", "USD"]."""
    return sorted([limit.span, plain(limit.most), limit.unit] for limit in given)
