"""What agents were refused again and again for want of a permission: the least that would let them ask for it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from accounts.models import Organization
from agents import policy
from agents.load import load
from audit import queries
from audit.sealing import marks

LOOKED_AT = 2_000  # refusals, the newest
OFTEN = 3  # fewer may be somebody trying something out
CODES = {"no_permission", "amount_exceeded", "permission_expired"}  # refused because nobody said yes


@dataclass(frozen=True, slots=True)
class Wanted:
    """An action that one agent was refused `times` times. `amount` is the largest it asked for, if all had one."""

    agent: str
    action: str
    times: int
    last_at: datetime
    amount: Decimal | None
    currency: str
    environment: str
    is_tiered: bool  # tiers below this name answer it: a tier of the name itself would take their place

    @property
    def text(self) -> str:
        words = f"Refused {self.times} times, as nothing permits it. If it should be able to, let a person decide"
        if self.amount is not None:
            words += f", up to {policy.show(self.amount, self.currency or None)}"
        return f"{words}{f', in {self.environment} only' if self.environment else ''}."

    @property
    def suggestion(self) -> dict[str, str]:
        """The fields of the narrowest tier that would have answered these checks."""
        return {
            "action": f"{self.action}.larger" if self.is_tiered else self.action,
            "effect": "ask",
            "max_amount": "" if self.amount is None else policy.plain(self.amount),
            "currency": self.currency if self.amount is not None else "",
            "environment": self.environment,
        }


@dataclass(frozen=True, slots=True)
class _Refusal:
    at: datetime
    context: dict[str, Any]
    environment: str


def wanted(organization: Organization, *, since: datetime, now: datetime) -> list[Wanted]:
    """What was refused at least OFTEN times in live mode since then, and would be refused today for the same reason."""
    refusals: dict[tuple[str, str], list[_Refusal]] = defaultdict(list)
    search = queries.Search(mode="live", kind="agent:check:deny", since=since, exact=True)
    for row in queries.find(organization.pk, search, size=LOOKED_AT).events:
        data = row.brief_data
        context = data.get("context")
        covered = any(marks(context))  # it would be judged by other values than it was
        if not covered and data.get("code") in CODES and isinstance(context, dict) and policy.is_action(row.action):
            refusals[row.agent, row.action].append(_Refusal(row.at, context, str(data.get("environment") or "")))
    often = {key: found for key, found in refusals.items() if len(found) >= OFTEN}
    if not often:
        return []
    compiled = load(organization.pk).policy
    return [
        _wanted(compiled.agents[agent], action, found)
        for (agent, action), found in sorted(often.items())
        if agent in compiled.agents and _still(compiled, agent, action, found[0], now)
    ]


def _still(compiled: policy.Policy, agent: str, action: str, newest: _Refusal, now: datetime) -> bool:
    request = policy.Request(agent, action, newest.context, newest.environment or None)
    decision = policy.decide(compiled, request, now)
    return decision.outcome == "deny" and decision.code in CODES


def _wanted(agent: policy.Agent, action: str, found: list[_Refusal]) -> Wanted:
    amounts = [_amount(each.context) for each in found]
    currencies = {str(each.context.get("currency") or "").upper() for each in found}
    environments = {each.environment for each in found}
    currency = currencies.pop() if len(currencies) == 1 else ""
    return Wanted(
        agent=agent.slug,
        action=action,
        times=len(found),
        last_at=found[0].at,
        amount=None if None in amounts else max(each for each in amounts if each is not None),
        currency=currency if len(currency) == 3 and currency.isascii() and currency.isalpha() else "",
        environment=environments.pop() if len(environments) == 1 else "",
        is_tiered=any(
            each.max_amount is not None and each.action.rpartition(".")[0] == action for each in agent.permissions
        ),
    )


def _amount(context: dict[str, Any]) -> Decimal | None:
    try:
        return policy.parse_amount(context["amount"])
    except (KeyError, policy.AmountError):
        return None
