"""What a policy is made of and what a decision says: plain immutable data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .stops import Stop

if TYPE_CHECKING:
    from .compiled import Index

Effect = Literal["allow", "ask", "deny"]
Risk = Literal["low", "medium", "high", "critical"]
Status = Literal["active", "suspended", "banned"]

STRICTNESS: Mapping[str, int] = {"allow": 0, "ask": 1, "deny": 2}


class Limit(NamedTuple):
    """A budget: at most so many requests (no unit), or so much of a currency in all, in each hour, day or month."""

    span: str
    most: Decimal
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Permission:
    """One tier of one agent. `action` is a name or a wildcard; None means any environment, callee or currency."""

    id: str
    action: str
    effect: Effect
    max_amount: Decimal | None = None
    currency: str | None = None
    environment: str | None = None
    condition: str = ""
    callee: str | None = None
    risk: Risk = "low"
    approval_rule: str | None = None
    expires_at: datetime | None = None
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Agent:
    """Who asks, and everything it was granted or refused."""

    id: str
    slug: str
    status: Status
    permissions: tuple[Permission, ...]
    spiffe_id: str | None = None
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that decides for one organization, compiled: made by `compile_policy`, never by hand."""

    version: str
    organization_id: str
    stops: tuple[Stop, ...]
    """What the kill switch holds."""
    paused: bool
    """Whether that is everything."""
    environments: frozenset[str]
    agents: Mapping[str, Agent]
    """Every agent twice: under its id and under its slug."""
    indexes: Mapping[str, "Index"] = field(repr=False, compare=False)
    banned: frozenset[str] = frozenset()
    """SPIFFE IDs that nobody may be, and that nobody may do anything to."""
    external: Mapping[str, Any] | None = None
    """The external OPA that is asked after this policy (agents.opa); `decide` does not ask it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What an agent (its id or slug) wants to do. `context` is parsed JSON; None is 'not known', never 'any'."""

    agent: str
    action: str
    context: Mapping[str, Any]
    environment: str | None = None
    callee: str | None = None


class Looked(NamedTuple):
    """One line of a trace: a permission that was looked at, whether it applied, and why, in a word and a sentence."""

    permission: str
    action: str
    applied: bool
    verdict: str
    because: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer. `conditional` is False only if every context, at any later time, gets the same answer."""

    outcome: Effect
    permission: Permission | None
    reason: str
    trace: tuple[Looked, ...]
    code: str
    amount: Decimal | None
    currency: str | None
    conditional: bool
