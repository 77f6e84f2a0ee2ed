"""Budgets: how often, and how much in all, per hour, day and month. Pure: windows, what a request needs, what is left.

Windows are those of the calendar, in UTC: an hour begins at :00, a day at 00:00, a month on the first.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from .model import Agent, Decision, Limit, Permission
from .money import plain

SPANS = ("hour", "day", "month")
NAMES = tuple(f"{kind}_per_{span}" for kind in ("count", "total") for span in SPANS)
EXCEEDED = "budget_exceeded"  # the code of a decision


class Need(NamedTuple):
    """What one request takes of one budget, in one window. `name` is the tier's or the agent's, for the sentence."""

    owner: str
    name: str
    limit: Limit
    starts: datetime
    ends: datetime
    amount: Decimal

    def fits(self, used: Decimal) -> bool:
        return used + self.amount <= self.limit.most


def limits_of(kept: Mapping[str, Any], currency: str | None) -> tuple[Limit, ...]:
    """What is kept of limits, such as {"count_per_hour": 12, "total_per_day": "500"}, as the policy has them."""
    found = []
    for name in NAMES:
        if (most := kept.get(name)) is not None:
            kind, _, span = name.partition("_per_")
            unit = "" if kind == "count" else currency or ""
            if kind == "total" and not unit:
                raise ValueError("A total needs its currency")
            found.append(Limit(span, Decimal(str(most)), unit))
    return tuple(found)


def window(span: str, now: datetime) -> tuple[datetime, datetime]:
    """The window of that length around `now`: it begins within, and ends without."""
    now = now.astimezone(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    if span == "hour":
        return hour, hour + timedelta(hours=1)
    day = hour.replace(hour=0)
    if span == "day":
        return day, day + timedelta(days=1)
    month = day.replace(day=1)
    return month, (month + timedelta(days=32)).replace(day=1)


def needs(agent: Agent, decision: Decision, now: datetime) -> list[Need]:
    """What a request that is allowed, or asked about, takes: nothing where no budget speaks of it."""
    permission = decision.permission
    if decision.outcome == "deny" or permission is None:
        return []
    found = _needs(agent.id, agent.slug, agent.limits, decision, now) if agent.limits else []
    return found + _needs(permission.id, permission.action, permission.limits, decision, now)


def all_of(agent: Agent, permissions: Iterable[Permission], now: datetime) -> list[Need]:
    """Every budget of an agent and its tiers, as a request that takes nothing: for gauges."""
    nothing = Decimal(0)
    owners = [(agent.id, agent.slug, agent.limits), *((each.id, each.action, each.limits) for each in permissions)]
    return [
        Need(owner, name, limit, *window(limit.span, now), nothing)
        for owner, name, limits in owners
        for limit in limits
    ]


def _needs(owner: str, name: str, limits: Iterable[Limit], decision: Decision, now: datetime) -> list[Need]:
    one = Decimal(1)
    return [
        Need(owner, name, limit, *window(limit.span, now), (decision.amount or Decimal(0)) if limit.unit else one)
        for limit in limits
    ]


def refusal(need: Need, used: Decimal) -> str:
    """Why it does not fit, in words for the agent and its developer."""
    limit = need.limit
    until = f"next at {_when(need)}"
    within = f"this {limit.span}" if limit.span != "day" else "today"
    if not limit.unit or used >= limit.most:
        return f"Budget of '{need.name}' is used up: {state(need, used)} {within}; {until}"
    left = plain(limit.most - used)
    return f"Budget of '{need.name}' has {left} {limit.unit} left of {plain(limit.most)} {within}; {until}"


def state(need: Need, used: Decimal) -> str:
    """`3 of 12`, `450.00 of 500.00 USD`."""
    if need.limit.unit:
        return f"{plain(used)} of {plain(need.limit.most)} {need.limit.unit}"
    return f"{int(used)} of {int(need.limit.most)}"


def _when(need: Need) -> str:
    return f"{need.ends:%H:%M} UTC" if need.limit.span == "hour" else f"00:00 UTC on {need.ends:%-d %b}"
