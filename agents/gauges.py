"""Budgets as people see them: what was used of each, now, in live or in test mode."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from agents import policy, spending
from agents.policy import budgets
from agents.policy.budgets import Need


@dataclass(frozen=True, slots=True)
class Gauge:
    name: str
    span: str
    words: str  # 3 of 12
    used: Decimal
    most: Decimal
    unit: str
    ends: datetime

    @property
    def percent(self) -> int:
        return min(100, int(self.used * 100 / self.most)) if self.most else 100

    @property
    def full(self) -> bool:
        return self.used >= self.most


def gauges(agent: policy.Agent, mode: str, now: datetime) -> list[Gauge]:
    """Every budget of an agent and its tiers."""
    return [_gauge(need, used) for need, used in _read(budgets.all_of(agent, agent.permissions, now), mode)]


def looked(agent: policy.Agent, decision: policy.Decision, mode: str, now: datetime) -> list[tuple[bool, str]]:
    """What budgets would say of a decision that nobody asked for: whether it fits, and what was used."""
    return [
        (need.fits(used), f"Budget of '{need.name}' per {need.limit.span}: {budgets.state(need, used)} used")
        if need.fits(used)
        else (False, budgets.refusal(need, used))
        for need, used in _read(budgets.needs(agent, decision, now), mode)
    ]


def as_json(gauge: Gauge) -> dict[str, Any]:
    return {
        "of": gauge.name,
        "per": gauge.span,
        "unit": gauge.unit or None,
        "used": f"{gauge.used:f}",
        "most": f"{gauge.most:f}",
        "ends_at": gauge.ends.isoformat(),
    }


def _read(needs: Sequence[Need], mode: str) -> list[tuple[Need, Decimal]]:
    return list(zip(needs, spending.used(mode, needs), strict=True)) if needs else []


def _gauge(need: Need, used: Decimal) -> Gauge:
    limit = need.limit
    if limit.unit:
        words = f"{policy.show(used, limit.unit)} of {policy.show(limit.most, limit.unit)}"
    else:
        words = f"{int(used):,} of {int(limit.most):,}"
    return Gauge(need.name, limit.span, words, used, limit.most, limit.unit, need.ends)
