"""Compiling a policy: everything that does not depend on the request is worked out once, when a version is loaded.

Permissions of one agent are gathered into levels, the places a decision looks at:

- `exact`: those that bear the very name that is asked for;
- `tiers`: those one part below it (`stripe.refund.small` below `stripe.refund`), if any of them has a maximum;
- `wildcards`: those of one pattern (`email.*`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from .conditions import Condition, ConditionError, compile_condition
from .model import STRICTNESS, Agent, Permission, Policy
from .money import plain
from .names import is_permission_name, is_wildcard, parent
from .stops import Stop
from .versions import content_hash

Kind = Literal["exact", "tiers", "wildcard"]
_NO_MAXIMUM = Decimal("Infinity")


@dataclass(frozen=True, slots=True)
class Rung:
    """One permission, its compiled condition or why there is none (`broken`), and its maximum as it is written."""

    permission: Permission
    condition: Condition | None = None
    broken: str = ""
    maximum: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """The permissions of one place.

    `rungs` is the ladder, smallest maximum first, none last, the strictest first among equals. `grants` are the allows
    and asks for whose sake the level is looked at: a level without one decides nothing. `lasting`: one of them never
    expires. `denies` hold whatever the amount, unless they have a maximum and the ladder is the one being climbed.
    """

    name: str
    kind: Kind
    rungs: tuple[Rung, ...]
    grants: tuple[Rung, ...]
    lasting: bool
    denies: tuple[Rung, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """What is looked up when one agent asks: levels by name (wildcards by their prefix), the agent for CEL, and what
    the kill switch holds of it.
    """

    agent: Agent
    facts: Mapping[str, str]
    stops: tuple[Stop, ...]
    exact: Mapping[str, Level]
    tiers: Mapping[str, Level]
    wildcards: Mapping[str, Level]

    def patterns(self, name: str) -> list[Level]:
        """The wildcards over a name, most specific first."""
        found = []
        prefix = parent(name)
        while prefix:
            if level := self.wildcards.get(prefix):
                found.append(level)
            prefix = parent(prefix)
        return found


def compile_policy(
    *,
    organization_id: str,
    agents: Iterable[Agent],
    environments: Iterable[str] = (),
    stops: Iterable[Stop] = (),
    banned: Iterable[str] = (),
    external: Mapping[str, Any] | None = None,
    version: str | None = None,
) -> Policy:
    """Compiles one organization's policy; `version` defaults to the hash of its content.

    A condition that does not compile is kept as one that always fails to evaluate. Raises ValueError for what no
    policy may contain: two agents of one id or slug, or a permission that `check_permission` refuses.
    """
    agents = tuple(agents)
    environments, banned = frozenset(environments), frozenset(banned)
    stops = tuple(sorted(set(stops)))
    by_name: dict[str, Agent] = {}
    for name, agent in [(each.slug, each) for each in agents] + [(each.id, each) for each in agents]:
        if by_name.setdefault(name, agent) is not agent:
            raise ValueError(f"Two agents are called {name!r}")
    indexes = {
        agent.id: _index(agent, tuple(each for each in stops if each.agent in ("", agent.id))) for agent in agents
    }
    return Policy(
        version=version
        or content_hash(
            organization_id=organization_id,
            stops=stops,
            environments=environments,
            agents=agents,
            banned=banned,
            external=external,
        ),
        organization_id=organization_id,
        stops=stops,
        paused=Stop() in stops,
        environments=environments,
        agents=by_name,
        indexes={name: indexes[agent.id] for name, agent in by_name.items()},
        banned=banned,
        external=external,
    )


def check_permission(permission: Permission) -> None:
    """Raises ValueError, with a sentence for a person, for a permission that means nothing. Conditions are not read."""
    if not is_permission_name(permission.action):
        raise ValueError(f"{permission.action!r} is neither a name like 'stripe.refund' nor a wildcard like 'email.*'")
    if permission.effect not in STRICTNESS:
        raise ValueError(f"The effect of '{permission.action}' is not allow, ask or deny")
    maximum = permission.max_amount
    if maximum is not None and (not maximum.is_finite() or maximum.is_signed()):
        raise ValueError(f"The maximum of '{permission.action}' is negative or not a number")
    if "" in (permission.currency, permission.environment, permission.callee):
        raise ValueError(f"A currency, environment or callee of '{permission.action}' is empty: leave it out")
    if permission.expires_at is not None and permission.expires_at.utcoffset() is None:
        raise ValueError(f"The expiry of '{permission.action}' has no time zone")


def _index(agent: Agent, stops: tuple[Stop, ...]) -> Index:
    exact: dict[str, list[Rung]] = defaultdict(list)
    tiers: dict[str, list[Rung]] = defaultdict(list)
    wildcards: dict[str, list[Rung]] = defaultdict(list)
    for permission in agent.permissions:
        check_permission(permission)
        rung = _rung(permission)
        if is_wildcard(permission.action):
            wildcards[parent(permission.action)].append(rung)
        else:
            exact[permission.action].append(rung)
            tiers[parent(permission.action)].append(rung)
    return Index(
        agent=agent,
        facts={"id": agent.id, "slug": agent.slug, "status": agent.status, "spiffe_id": agent.spiffe_id or ""},
        stops=stops,
        exact={name: _level(name, "exact", rungs) for name, rungs in exact.items()},
        tiers={
            name: level
            for name, rungs in tiers.items()
            if "." in name and (level := _level(name, "tiers", rungs)).grants
        },
        wildcards={prefix: _level(f"{prefix}.*", "wildcard", rungs) for prefix, rungs in wildcards.items()},
    )


def _rung(permission: Permission) -> Rung:
    maximum = "" if permission.max_amount is None else plain(permission.max_amount)
    if not permission.condition.strip():
        return Rung(permission, maximum=maximum)
    try:
        return Rung(permission, compile_condition(permission.condition), maximum=maximum)
    except ConditionError as error:
        return Rung(permission, broken=error.message, maximum=maximum)


def _level(name: str, kind: Kind, rungs: list[Rung]) -> Level:
    # Below a name, only a maximum makes tiers of its children, and a deny without one is the last tier: "above: no".
    # Elsewhere such a deny is no rung: it denies every amount.
    tiers = kind == "tiers"
    rungs = sorted(rungs, key=_height)
    grants = [
        each
        for each in rungs
        if each.permission.effect != "deny" and (not tiers or each.permission.max_amount is not None)
    ]
    ladder = [
        each for each in rungs if tiers or each.permission.effect != "deny" or each.permission.max_amount is not None
    ]
    denies = [each for each in rungs if each.permission.effect == "deny"]
    return Level(
        name=name,
        kind=kind,
        rungs=tuple(ladder),
        grants=tuple(grants),
        lasting=any(each.permission.expires_at is None for each in grants),
        denies=tuple(sorted(denies, key=_effort)),
    )


def _height(rung: Rung) -> tuple[Decimal, int, bool, str, str]:
    permission = rung.permission
    maximum = _NO_MAXIMUM if permission.max_amount is None else permission.max_amount
    return maximum, -STRICTNESS[permission.effect], _varies(rung), permission.action, permission.id


def _effort(rung: Rung) -> tuple[bool, str]:
    """Denies that need nothing evaluated come first."""
    return _varies(rung), rung.permission.id


def _varies(rung: Rung) -> bool:
    return bool(rung.permission.condition or rung.permission.expires_at)
