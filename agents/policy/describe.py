"""Permissions in words and as ladders, for the people who write them and those who approve by them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal

from .model import STRICTNESS, Agent, Effect, Permission
from .money import show
from .names import is_wildcard, parent

_VERBS: Mapping[Effect, str] = {"allow": "passes", "ask": "needs approval", "deny": "is denied"}
_GENERIC_CALLEES = ("/agent", "/service", "/workload", "/default")


def describe(permission: Permission) -> str:
    """One sentence without a full stop: `stripe.refund up to $200.00 passes in production if context.vip`."""
    name = permission.action
    if is_wildcard(name):
        name = f"everything under {parent(name)}"
    words = [name]
    if permission.max_amount is not None:
        words.append(f"up to {show(permission.max_amount, permission.currency)}")
    words.append(_VERBS[permission.effect])
    if permission.environment is not None:
        words.append(f"in {permission.environment}")
    if permission.callee is not None:
        words.append(f"on {permission.callee}")
    if permission.condition.strip():
        words.append(f"if {permission.condition.strip()}")
    if permission.expires_at is not None:
        words.append(f"until {permission.expires_at.astimezone(UTC):%Y-%m-%d %H:%M UTC}")
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class Step:
    """One rung as it is drawn: `≤ $200`, `above`, or `any amount`."""

    label: str
    effect: Effect
    permission: Permission | None
    """None: nobody wrote this step, it is what the default denies."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """All permissions that answer one action (or one wildcard), from the smallest amount up.

    `denied` are denies without a maximum: where they apply they win over every step.
    """

    action: str
    steps: tuple[Step, ...]
    denied: tuple[Permission, ...]


def ladders(agent: Agent) -> list[Ladder]:
    """An agent's permissions by the action they answer, in order of name, wildcards after exact names."""
    names = {each.action for each in agent.permissions if each.effect != "deny"}
    tiered = {
        parent(each.action)
        for each in agent.permissions
        if each.max_amount is not None and each.effect != "deny" and not is_wildcard(each.action)
    }
    groups: dict[str, list[Permission]] = defaultdict(list)
    for permission in agent.permissions:
        base = parent(permission.action)
        is_tier = base in tiered and base not in names and "." in base and not is_wildcard(permission.action)
        groups[base if is_tier else permission.action].append(permission)
    ordered = sorted(groups.items(), key=lambda group: (is_wildcard(group[0]), group[0]))
    return [_ladder(action, permissions) for action, permissions in ordered]


def _ladder(action: str, permissions: list[Permission]) -> Ladder:
    grants = any(each.effect != "deny" for each in permissions)
    absolute = [
        each
        for each in permissions
        if each.effect == "deny" and (not grants or (each.max_amount is None and each.action == action))
    ]
    rungs = sorted((each for each in permissions if each not in absolute), key=_height)
    amounts = any(each.max_amount is not None for each in rungs)
    steps = [_step(each, amounts=amounts) for each in rungs]
    if rungs and rungs[-1].max_amount is not None:
        steps.append(Step("above", "deny", None))
    return Ladder(action, tuple(steps), tuple(absolute))


def _height(permission: Permission) -> tuple[bool, Decimal, int, str]:
    return (
        permission.max_amount is None,
        permission.max_amount or Decimal(0),
        -STRICTNESS[permission.effect],
        permission.id,
    )


def _step(permission: Permission, *, amounts: bool) -> Step:
    if permission.max_amount is None:
        return Step("above" if amounts else "any amount", permission.effect, permission)
    return Step(f"≤ {show(permission.max_amount, permission.currency, short=True)}", permission.effect, permission)


@dataclass(frozen=True, slots=True)
class Flag:
    """Something a reviewer of permissions should look at."""

    code: str
    text: str


def review_flags(permission: Permission) -> list[Flag]:
    """What is too broad about a permission; empty for one that is as narrow as it should be. Denies never are."""
    if permission.effect == "deny":
        return []
    return list(_flags(permission))


def _flags(permission: Permission) -> Iterable[Flag]:
    if is_wildcard(permission.action):
        prefix = parent(permission.action)
        yield Flag(
            "wildcard", f"Covers every action under '{prefix}', also those added later: name the actions instead"
        )
        if "." not in prefix:
            yield Flag("whole_service", f"Covers the whole of '{prefix}'")
        if permission.effect == "allow" and permission.max_amount is None:
            yield Flag("unlimited_wildcard", "Passes any amount without approval")
    if permission.effect == "allow" and permission.risk in ("high", "critical"):
        yield Flag("risky_allow", f"The risk is {permission.risk}, yet nobody is asked")
    if permission.callee is not None and permission.callee.endswith(_GENERIC_CALLEES):
        yield Flag("generic_callee", f"{permission.callee} may be anyone: give each workload an identity of its own")
