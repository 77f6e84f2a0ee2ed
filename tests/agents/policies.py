"""Small policies for tests: one agent called `bot` in an organization with production and staging."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from agents.policy import Agent, Decision, Effect, Permission, Policy, Request, compile_policy, decide

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
SOON = NOW + timedelta(seconds=1)
OPS = "spiffe://acme.example/agent/ops"
BILLING = "spiffe://acme.example/agent/billing"


def tier(action: str, effect: Effect = "allow", maximum: str | None = None, **rest: Any) -> Permission:
    """A permission that is called after what it says."""
    name = rest.pop("id", None) or " ".join([effect, action, maximum or "", *map(str, rest.values())])
    return Permission(name, action, effect, None if maximum is None else Decimal(maximum), **rest)


def policy_of(*permissions: Permission, **rest: Any) -> Policy:
    bot = Agent("agent-1", "bot", rest.pop("status", "active"), permissions, limits=rest.pop("limits", ()))
    rest.setdefault("environments", ["production", "staging"])
    return compile_policy(organization_id="org-1", agents=[bot], **rest)


def ask(
    *permissions: Permission,
    action: str = "stripe.refund",
    context: Mapping[str, Any] | None = None,
    environment: str | None = None,
    callee: str | None = None,
    now: datetime = NOW,
    **context_too: Any,
) -> Decision:
    """What these permissions answer: `ask(tier("email.send"), action="email.send", to="anna@acme.example")`."""
    request = Request("bot", action, {**(context or {}), **context_too}, environment, callee)
    return decide(policy_of(*permissions), request, now)
