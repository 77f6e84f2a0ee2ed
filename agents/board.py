"""An agent's tiers as ladders: what is drawn, and what should be looked at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from agents import policy
from agents.load import permission_of
from agents.models import Permission

STRICTNESS = {"allow": 0, "ask": 1, "deny": 2}
WORDS = {"allow": "Pass", "ask": "Ask", "deny": "Deny"}
VERBS = {"allow": "passes", "ask": "asks", "deny": "is denied"}


@dataclass(frozen=True, slots=True)
class Rung:
    """One line of a ladder. Without a `permission` it is what the default denies."""

    label: str
    effect: str
    permission: Permission | None
    flags: tuple[policy.Flag, ...] = ()
    expired: bool = False
    hit: bool = False

    @property
    def word(self) -> str:
        return WORDS[self.effect]


@dataclass(frozen=True, slots=True)
class Ladder:
    """The tiers that answer one action, lowest amount first; `stem` is what a new tier's name begins with."""

    action: str
    stem: str
    is_wildcard: bool
    rungs: tuple[Rung, ...]
    warnings: tuple[str, ...] = field(default=())

    @property
    def is_single(self) -> bool:
        """Whether it is no ladder but a plain yes, ask or no."""
        return not self.is_wildcard and len(self.rungs) == 1 and not self.warnings


@dataclass(frozen=True, slots=True)
class Board:
    """How an agent's tiers are laid out: ladders, then what goes by no amount, then wildcards."""

    ladders: tuple[Ladder, ...]
    singles: tuple[Ladder, ...]
    wildcards: tuple[Ladder, ...]

    @property
    def all(self) -> tuple[Ladder, ...]:
        return self.ladders + self.singles + self.wildcards


def draw(permissions: Iterable[Permission], *, now: datetime, hit: str = "") -> Board:
    """One agent's permissions, laid out; `hit` is the permission a simulation came to."""
    rows = {str(row.id): row for row in permissions}
    agent = policy.Agent("", "", "active", tuple(permission_of(row) for row in rows.values()))
    drawn = [_ladder(each, rows, now, hit) for each in policy.ladders(agent)]
    return Board(
        tuple(each for each in drawn if not each.is_wildcard and not each.is_single),
        tuple(each for each in drawn if each.is_single),
        tuple(each for each in drawn if each.is_wildcard),
    )


def _ladder(drawn: policy.Ladder, rows: Mapping[str, Permission], now: datetime, hit: str) -> Ladder:
    def rung(label: str, effect: str, permission: policy.Permission | None) -> Rung:
        if permission is None:
            return Rung(label, effect, None)
        row = rows[permission.id]
        expired = row.expires_at is not None and row.expires_at <= now
        return Rung(label, effect, row, tuple(policy.review_flags(permission)), expired, permission.id == hit)

    steps = [rung(step.label, step.effect, step.permission) for step in drawn.steps]
    denied = [rung("always", "deny", each) for each in drawn.denied]
    is_wildcard = policy.is_wildcard(drawn.action)
    tiered = any(step.permission and step.permission.action != drawn.action for step in steps)
    return Ladder(
        drawn.action,
        f"{drawn.action}." if tiered else drawn.action,
        is_wildcard,
        (*denied, *steps),
        tuple(_warnings(drawn.action, is_wildcard, steps)),
    )


def _warnings(action: str, is_wildcard: bool, steps: list[Rung]) -> Iterable[str]:
    if is_wildcard:
        yield f"{action} covers every action below it, also those that are added later. Name the actions instead."
    for number, low in enumerate(steps):
        for high in steps[number + 1 :]:
            if not _same_ground(low, high):
                continue
            if STRICTNESS[high.effect] < STRICTNESS[low.effect]:
                yield f"It loosens upwards: {low.label} {VERBS[low.effect]}, but {high.label} {VERBS[high.effect]}."
            elif low.label == high.label:
                yield f"Two tiers hold {low.label}: the second is never reached."


def _same_ground(low: Rung, high: Rung) -> bool:
    """Whether what the lower rung holds for certain can be compared with what the higher one does."""
    one, two = low.permission, high.permission
    if one is None or two is None or one.condition.strip() or low.expired or high.expired:
        return False
    return all(
        not getattr(one, name) or not getattr(two, name) or getattr(one, name) == getattr(two, name)
        for name in ("environment", "currency", "callee")
    )
