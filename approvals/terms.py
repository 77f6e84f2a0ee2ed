"""The terms of a grant, and what is of the same kind: pure, over plain data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from agents.policy.money import show
from approvals import rules
from approvals.rule import Rule
from audit.canonical import canonical

LONGEST = 10_080  # minutes: a week
MOST = 1_000  # uses


@dataclass(frozen=True, slots=True)
class Terms:
    """For so many minutes and so many uses; each of at most `each`, `total` in all; `same` are fields that stay."""

    minutes: int
    uses: int
    each: Decimal | None = None
    total: Decimal | None = None
    same: frozenset[str] = field(default_factory=frozenset)


def fields(context: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a context that a grant can hold to: texts, numbers, yes or no."""
    named = {name: value for name, value in context.items() if name not in ("amount", "currency")}
    return {name: value for name, value in named.items() if isinstance(value, str | int | float)}


def why_not(rule: Rule, risk: str) -> str:
    """Why no grant can come of a request, as a sentence; empty where one can."""
    if not rule.grants_allowed:
        return "The rule of this request does not let more of the same kind be allowed."
    if risk == "critical":
        return "What is critical is approved one by one."
    if all(way.approvals > 1 for way in rule.ways):
        return "Where several people have to approve, each request is approved by itself."
    return ""


def check(rule: Rule, risk: str, amount: Decimal | None, context: Mapping[str, Any], terms: Terms) -> None:
    """Raises rules.Refused where there can be no grant, rules.Incomplete where these terms will not do."""
    if refused := why_not(rule, risk):
        raise rules.Refused(refused, "grants")
    if not 1 <= terms.minutes <= LONGEST:
        raise rules.Incomplete(f"A grant lasts from 1 to {LONGEST:,} minutes, a week.", "grant_terms")
    if not 1 <= terms.uses <= MOST:
        raise rules.Incomplete(f"A grant has from 1 to {MOST:,} uses.", "grant_terms")
    if strange := sorted(terms.same - fields(context).keys()):
        raise rules.Incomplete(f"{strange[0]} is no field of this request that a grant can hold to.", "grant_terms")
    if amount is None:
        if terms.each is not None or terms.total is not None:
            raise rules.Incomplete("This request has no amount: a grant of it cannot have one.", "grant_terms")
        return
    if terms.each is None or terms.total is None:
        raise rules.Incomplete("Say how much at most, each and in all.", "grant_terms")
    if not (terms.each.is_finite() and terms.total.is_finite()) or not 0 < terms.each <= amount:
        raise rules.Incomplete(
            "Each use is of at most the amount that you approve, and more than nothing.", "grant_terms"
        )
    if not terms.each <= terms.total < Decimal(10) ** 20:
        raise rules.Incomplete("In all it is at least as much as for one.", "grant_terms")


def same(context: Mapping[str, Any], names: frozenset[str]) -> str:
    """The fields that stay, with their values, as canonical JSON."""
    return canonical({name: context[name] for name in names})


@dataclass(frozen=True, slots=True)
class Given:
    """A grant as it stands, and who may not have given it."""

    organization: str
    mode: str
    agent: str
    action: str
    callee: str
    environment: str
    permission: str
    rule: Mapping[str, Any]
    currency: str
    each: Decimal | None
    same: str
    by: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A check that asks."""

    organization: str
    mode: str
    agent: str
    action: str
    callee: str
    environment: str
    permission: str
    rule: Mapping[str, Any]
    currency: str
    amount: Decimal | None
    risk: str
    context: Mapping[str, Any]
    requesters: frozenset[str]


def covers(given: Given, wanted: Wanted) -> bool:
    """Whether a check is of the kind that was granted: any doubt is a no.

    The tier that asks, and its rule, are as they were, word for word. Whoever gave it is not in the check's chain:
    nobody grants what their own key asks (I3).
    """
    alike = ("organization", "mode", "agent", "action", "callee", "environment", "permission", "currency")
    if any(getattr(given, name) != getattr(wanted, name) for name in alike):
        return False
    if dict(given.rule) != dict(wanted.rule) or not Rule.read(wanted.rule).grants_allowed:
        return False
    if wanted.risk == "critical" or given.by in wanted.requesters:
        return False
    if (given.each is None) != (wanted.amount is None):
        return False
    if given.each is not None and wanted.amount is not None and wanted.amount > given.each:
        return False
    kept: dict[str, Any] = json.loads(given.same)
    return all(name in wanted.context and canonical(wanted.context[name]) == canonical(kept[name]) for name in kept)


def words(*, agent: str, action: str, terms: Terms, context: Mapping[str, Any], currency: str) -> str:
    """`support-bot may do stripe.refund, up to $500.00 each and $2,000.00 in all, 10 times, within 2 hours`."""
    said = f"{agent} may do {action}"
    if terms.each is not None and terms.total is not None:
        said += f", up to {show(terms.each, currency or None)} each and {show(terms.total, currency or None)} in all"
    if terms.same:
        said += ", with " + " and ".join(f"{name} {canonical(context[name])}" for name in sorted(terms.same))
    said += f", {terms.uses} time{'s' if terms.uses > 1 else ''}"
    return f"{said}, within {_for(terms.minutes)}"


def _for(minutes: int) -> str:
    for size, word in ((1_440, "day"), (60, "hour")):
        if minutes % size == 0:
            return f"{minutes // size} {word}{'s' if minutes > size else ''}"
    return f"{minutes} minute{'s' if minutes > 1 else ''}"


def lasts(terms: Terms) -> timedelta:
    return timedelta(minutes=terms.minutes)
