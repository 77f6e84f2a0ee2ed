"""Tiers that hold what another one holds already: pure, over one agent's permissions."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from .describe import ladders
from .model import STRICTNESS, Agent, Permission
from .names import covers, is_wildcard

_PLACE = ("environment", "callee", "currency")


class Overlap(NamedTuple):
    """`permission` is never reached: whatever it would answer, `other` answers first."""

    permission: Permission
    other: Permission
    text: str


def overlaps(agent: Agent) -> list[Overlap]:
    """Tiers of one agent that never decide anything, each with the first that stands before it."""
    found: dict[str, Overlap] = {}
    for overlap in (*_denied(agent.permissions), *_in_ladders(agent)):
        found.setdefault(overlap.permission.id, overlap)
    return list(found.values())


def _in_ladders(agent: Agent) -> Iterator[Overlap]:
    """Of two tiers of one ladder with the same maximum, the stricter and then the older decides."""
    for ladder in ladders(agent):
        levels: dict[object, list[Permission]] = defaultdict(list)
        for step in ladder.steps:
            if step.permission is not None:
                levels[step.permission.max_amount].append(step.permission)
        for rungs in levels.values():
            rungs.sort(key=lambda each: (-STRICTNESS[each.effect], each.id))
            for number, later in enumerate(rungs):
                first = next((each for each in rungs[:number] if _stands_before(each, later)), None)
                if first is not None:
                    yield Overlap(later, first, f"Overlaps {_named(first, later)}, which always decides first")


def _denied(permissions: tuple[Permission, ...]) -> Iterator[Overlap]:
    """A deny without a maximum wins over every grant of the names it covers."""
    denies = [each for each in permissions if each.effect == "deny" and each.max_amount is None]
    for permission in permissions:
        if permission.effect == "deny":
            continue
        for deny in denies:
            if covers(deny.action, permission.action) and _stands_before(deny, permission, currency=False):
                yield Overlap(permission, deny, f"Never grants anything: '{deny.action}' denies it")
                break


def _stands_before(first: Permission, later: Permission, *, currency: bool = True) -> bool:
    """Whether the first applies wherever, and whenever, the later one would."""
    if first.condition.strip() or first.expires_at is not None:
        return False
    places = _PLACE if currency else _PLACE[:2]
    return all(getattr(first, name) is None or getattr(first, name) == getattr(later, name) for name in places)


def _named(first: Permission, later: Permission) -> str:
    if first.action == later.action or is_wildcard(first.action):
        return f"another tier of '{first.action}'"
    return f"'{first.action}'"
