"""A compiled policy as data for the Rego beside this file: the same levels, in the same order, per SPIFFE ID."""

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from agents.policy.compiled import Index, Level, Rung
from agents.policy.model import Policy

DIGITS = 30  # before and after the point of an amount
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def bundle_data(
    policy: Policy,
    *,
    environment: str | None = None,
    agent_id: str | None = None,
    trust_domains: Collection[str] | None = None,
) -> dict[str, Any]:
    """What `data.warden.policy` holds: agents that have a SPIFFE ID, all or the one of `agent_id`.

    A bundle is for one `environment`, that of the key it was fetched with: nobody proves another to an OPA.
    """
    agents = {
        agent.spiffe_id: _agent(policy.indexes[agent.id], unclear=policy.external is not None)
        for agent in policy.agents.values()
        if agent.spiffe_id and agent_id in (None, agent.id)
    }
    return {
        "version": policy.version,
        "paused": policy.paused,
        "environment": environment,
        "known_environment": environment is None or environment in policy.environments,
        "trust_domains": None if trust_domains is None else sorted(trust_domains),
        "banned": dict.fromkeys(sorted(policy.banned), True),
        "agents": agents,
    }


def _agent(index: Index, *, unclear: bool) -> dict[str, Any]:
    limited = unclear or bool(index.agent.limits)  # nobody counts beside Warden, or asks the external OPA
    return {
        "active": index.agent.status == "active",
        "stops": [stop.pattern for stop in index.stops],
        "exact": {name: _level(level, limited) for name, level in index.exact.items()},
        "tiers": {name: _level(level, limited) for name, level in index.tiers.items()},
        "wildcards": {prefix: _level(level, limited) for prefix, level in index.wildcards.items()},
    }


def _level(level: Level, limited: bool) -> dict[str, Any]:
    return {
        "id": f"{level.kind} {level.name}",
        "kind": level.kind,
        "name": level.name,
        "rungs": [_rung(each, limited) for each in level.rungs],
        "grants": [_rung(each, limited) for each in level.grants],
        "denies": [_rung(each, limited) for each in level.denies],
    }


def _rung(rung: Rung, limited: bool) -> dict[str, Any]:
    permission = rung.permission
    return {
        "name": permission.action,
        "effect": permission.effect,
        "max": None if permission.max_amount is None else digits(permission.max_amount),
        "currency": permission.currency,
        "environment": permission.environment,
        "callee": permission.callee,
        "expires": None if permission.expires_at is None else _nanoseconds(permission.expires_at),
        "unclear": bool(permission.condition.strip() or permission.limits or limited),
    }


def digits(amount: Decimal) -> str:
    """An amount of at most DIGITS digits on either side, such that texts compare as the amounts do."""
    whole, _, fraction = format(amount, "f").partition(".")
    return f"{whole.lstrip('0').rjust(DIGITS, '0')}.{fraction.rstrip('0').ljust(DIGITS, '0')}"


def _nanoseconds(moment: datetime) -> int:
    since = moment - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
