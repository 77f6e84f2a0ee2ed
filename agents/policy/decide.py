"""The decision: may this agent do this, now? Pure and total; whatever is not granted in so many words is denied.

The order: the organization and the agent must be active, the environment known, the name well-formed, and the kill
switch hold none of it. Then any deny that speaks of the name wins. Then one level decides, the most specific that has
a permission to give: the exact name, its tiers by amount, its wildcards from the longest. There the smallest rung that
holds the amount is taken.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

from .compiled import Index, Level, Rung
from .conditions import ConditionFailed
from .model import Decision, Effect, Looked, Permission, Policy, Request
from .money import AmountError, parse_amount, plain
from .names import FORM, is_action, is_plain
from .stops import Stop, stopped_by


def decide(policy: Policy, request: Request, now: datetime) -> Decision:
    """Decides one request under one policy at one moment (`now` must have a time zone). Never raises: a surprise is
    a deny with the code "error", its cause in the trace.
    """
    try:
        return _decide(policy, request, now)
    except Exception as error:
        because = f"{type(error).__name__}: {error}"
        trace = (Looked("", "", applied=False, verdict="error", because=because),)
        return Decision("deny", None, "The request could not be decided", trace, "error", None, None, conditional=True)


def _decide(policy: Policy, request: Request, now: datetime) -> Decision:
    if policy.paused:
        return _refuse("organization_paused", Stop().words, lasting=False)
    index = policy.indexes.get(request.agent)
    if index is None:
        return _refuse("unknown_agent", "Unknown agent")
    status = index.agent.status
    if status != "active":
        called = "banned" if status == "banned" else "suspended"
        return _refuse(f"agent_{called}", f"Agent is {called}")
    if index.agent.spiffe_id in policy.banned:
        return _refuse("agent_banned", "The agent's SPIFFE ID is banned")
    if request.callee in policy.banned:
        return _refuse("callee_banned", "The callee is banned")
    environment = request.environment
    if environment is not None and environment not in policy.environments:
        named = f" '{environment}'" if is_plain(environment) else ""
        return _refuse("unknown_environment", f"Unknown environment{named}")
    exact = index.exact.get(request.action)
    if exact is None and not is_action(request.action):
        return _refuse("action_invalid", FORM)
    decision = _Check(index, request, now).run(exact)
    return _stopped(index, request.action, decision) if index.stops else decision


def _stopped(index: Index, action: str, decision: Decision) -> Decision:
    """The decision, unless the kill switch holds the action or the tier that it came to."""
    tier = decision.permission.action if decision.permission else action
    stop = stopped_by(index.stops, index.agent.id, action, tier)
    if stop is None:
        return decision
    if stop.pattern:
        return _refuse("action_paused", stop.words, lasting=False)
    return _refuse("agent_paused", stop.words, lasting=False)


def _refuse(code: str, reason: str, *, lasting: bool = True) -> Decision:
    """A deny before any permission. `lasting`: until the policy changes; a stop ends, and nobody may remember it."""
    return Decision("deny", None, reason, (), code, None, None, conditional=not lasting)


class _Check:
    """One request on its way through one agent's permissions, with what was looked at so far."""

    __slots__ = ("amount", "amount_problem", "conditional", "currency", "index", "lapsed", "now", "request", "trace")

    def __init__(self, index: Index, request: Request, now: datetime) -> None:
        self.index = index
        self.request = request
        self.now = now
        self.trace: list[Looked] = []
        self.conditional = False
        self.lapsed: Permission | None = None
        self.amount: Decimal | None = None
        self.amount_problem = ""
        self.currency: Any = request.context.get("currency")
        given = request.context.get("amount")
        if given is not None:
            try:
                self.amount = parse_amount(given)
            except AmountError as problem:
                self.amount_problem = str(problem)

    def run(self, exact: Level | None) -> Decision:
        index, name = self.index, self.request.action
        patterns = index.patterns(name) if index.wildcards else []
        level = self.find_level(exact, index.tiers.get(name), patterns)
        denied = self.find_deny(exact, level) if exact else None
        for pattern in patterns:
            denied = denied or self.find_deny(pattern, level)
        if denied:
            return self.denied_by(denied)
        if level is None:
            return self.nothing_granted()
        return self.climb(level)

    # Where to look

    def find_level(self, exact: Level | None, tiers: Level | None, patterns: Iterable[Level]) -> Level | None:
        """The most specific level with an allow or an ask that is not expired; expired ones count as absent."""
        if exact and self.has_grant(exact):
            return exact
        if tiers and self.has_grant(tiers):
            return tiers
        for pattern in patterns:
            if self.has_grant(pattern):
                return pattern
        return None

    def has_grant(self, level: Level) -> bool:
        if level.lasting:
            return True
        if any(not self.expired(rung.permission) for rung in level.grants):
            self.conditional = True  # on the clock: some day this level is gone
            return True
        for rung in level.grants:
            self.lapsed = self.lapsed or rung.permission
            self.skip(rung.permission, "expired", f"It {_expiry(rung.permission)}")
        return False

    # Whether a permission speaks of this request

    def expired(self, permission: Permission) -> bool:
        return permission.expires_at is not None and permission.expires_at <= self.now

    def in_place(self, permission: Permission) -> bool:
        """Whether expiry, environment and callee fit."""
        if permission.expires_at is not None:
            if self.expired(permission):
                return self.skip(permission, "expired", f"It {_expiry(permission)}")
            self.conditional = True
        environment, callee = permission.environment, permission.callee
        if environment is not None and self.elsewhere(permission, environment, self.request.environment):
            return self.skip(permission, "environment", f"Only in environment '{environment}'")
        if callee is not None and self.elsewhere(permission, callee, self.request.callee):
            return self.skip(permission, "callee", f"Only for {callee}")
        return True

    @staticmethod
    def elsewhere(permission: Permission, meant: str, given: str | None) -> bool:
        """Whether a permission means another environment or callee. A deny may mean one that is not known."""
        return meant != given and (permission.effect != "deny" or given is not None)

    def same_currency(self, permission: Permission) -> bool:
        if permission.currency is None:
            return True
        self.conditional = True
        given = self.currency
        if given is None:  # then the amount is in the permission's currency
            return True
        if type(given) is str and given.isascii() and given.upper() == permission.currency.upper():
            return True
        return self.skip(permission, "currency", _currency_differs(given, permission.currency))

    def condition_holds(self, rung: Rung) -> bool:
        """Raises ConditionFailed if the condition gives neither true nor false."""
        if rung.condition is None and not rung.broken:
            return True
        self.conditional = True
        if rung.condition is None:
            raise ConditionFailed(rung.broken)
        return rung.condition.holds(
            context=self.request.context,
            agent=self.index.facts,
            environment=self.request.environment or "",
            amount=self.amount,
            now=self.now,
        )

    # Denies

    def find_deny(self, level: Level, climbed: Level | None) -> Rung | None:
        """The first deny of a level that applies. A maximum makes a deny a mere rung, but only of its own ladder."""
        for rung in level.denies:
            if level is climbed and rung.permission.max_amount is not None:
                continue
            if not self.in_place(rung.permission):
                continue
            try:
                if not self.condition_holds(rung):
                    self.skip(rung.permission, "condition_false", "Its condition is not met")
                    continue
            except ConditionFailed as failure:
                self.apply(rung.permission, "condition_error", f"Its condition could not be evaluated: {failure}")
            return rung
        return None

    def denied_by(self, rung: Rung) -> Decision:
        permission = rung.permission
        self.apply(permission, "denies", "Denies, and a deny wins")
        return self.answer("denied_by_permission", f"Denied by permission '{permission.action}'", permission)

    # The ladder

    def climb(self, level: Level) -> Decision:
        usable = [
            rung for rung in level.rungs if self.in_place(rung.permission) and self.same_currency(rung.permission)
        ]
        if not usable:
            return self.nothing_fits(level)
        amount = self.amount
        if level.kind == "tiers" or any(rung.permission.max_amount is not None for rung in usable):
            self.conditional = True
            if amount is None:
                return self.amount_missing(level)
        unmet: Permission | None = None
        failed: Permission | None = None
        reason = written = ""
        for rung in usable:
            permission = rung.permission
            maximum = permission.max_amount
            if failed and (failed.max_amount, failed.effect) != (maximum, permission.effect):
                break  # only its equal may stand in for a rung that failed
            if maximum is not None and amount is not None and amount > maximum:
                written = written or plain(amount)
                self.skip(permission, "over_maximum", f"{written} is over its maximum {rung.maximum}")
                continue
            try:
                if self.condition_holds(rung):
                    return self.take(rung, level)
            except ConditionFailed as failure:
                self.skip(permission, "condition_error", f"Its condition could not be evaluated: {failure}")
                reason = f"Condition of '{permission.action}' could not be evaluated: {failure}"
                failed = permission
                continue
            self.skip(permission, "condition_false", "Its condition is not met")
            unmet = permission
        if failed:
            return self.answer("condition_error", reason, failed)
        if unmet:
            return self.answer("condition_failed", f"Condition of '{unmet.action}' is not met")
        return self.over_maximum(usable)

    def take(self, rung: Rung, level: Level) -> Decision:
        permission = rung.permission
        if permission.effect == "deny":
            return self.denied_by(rung)
        if level.kind == "tiers":
            # The request is now one for the tier, and a deny of that name wins as well.
            for place in (self.index.exact[permission.action], self.index.wildcards.get(level.name)):
                below = place and self.find_deny(place, place if place.kind == "exact" else None)
                if below:
                    return self.denied_by(below)
        if (permission.limits or self.index.agent.limits) and (refused := self.beyond_budgets(permission)):
            return refused
        if permission.effect == "ask":
            self.apply(permission, "asks", "Applies: a person must approve")
            return self.answer("requires_approval", "This action requires human approval", permission)
        self.apply(permission, "allows", "Applies")
        return self.answer("allowed", f"Allowed by '{permission.action}'", permission)

    def beyond_budgets(self, permission: Permission) -> Decision | None:
        """Why budgets cannot count this, whatever is left of them; None where they can."""
        self.conditional = True
        mine = any(limit.unit for limit in permission.limits)
        agents = next((limit.unit for limit in self.index.agent.limits if limit.unit), "")
        if self.amount is None and (mine or (agents and self.amount_problem)):
            self.skip(permission, "amount", "Its budget needs an amount")
            if self.amount_problem:
                return self.answer("amount_invalid", self.amount_problem)
            return self.answer("amount_required", f"An amount is required: '{permission.action}' has a budget")
        currency = self.currency if self.currency is not None else permission.currency
        if agents and self.amount is not None and (type(currency) is not str or currency.upper() != agents):
            self.skip(permission, "currency", f"The agent's budget is in {agents}")
            return self.answer("currency_mismatch", f"Budget of '{self.index.agent.slug}' is in {agents}: name it so")
        return None

    # Why nothing was granted

    def amount_missing(self, level: Level) -> Decision:
        if self.amount_problem:
            return self.answer("amount_invalid", self.amount_problem)
        why = "is divided into tiers by amount" if level.kind == "tiers" else "has a maximum"
        return self.answer("amount_required", f"An amount is required: '{level.name}' {why}")

    def over_maximum(self, usable: list[Rung]) -> Decision:
        maxima = [
            each.permission.max_amount
            for each in usable
            if each.permission.effect != "deny" and each.permission.max_amount is not None
        ]
        if not maxima or self.amount is None:
            return self.nothing_granted()
        reason = f"Amount {plain(self.amount)} exceeds maximum allowed {plain(max(maxima))}"
        return self.answer("amount_exceeded", reason)

    def nothing_fits(self, level: Level) -> Decision:
        """Every rung was skipped: tell the reason that is nearest to having fitted."""
        reasons = {line.verdict: line.because for line in self.trace[-len(level.rungs) :]}
        if "currency" in reasons:
            return self.answer("currency_mismatch", reasons["currency"])
        where = ""
        if "callee" in reasons:
            where = " on this callee" if self.request.callee else " without a callee"
        elif "environment" in reasons:
            environment = self.request.environment
            where = f" in environment '{environment}'" if environment else " without an environment"
        return self.answer("no_permission", f"No permission for action '{self.request.action}'{where}")

    def nothing_granted(self) -> Decision:
        if self.lapsed:
            reason = f"Permission for '{self.lapsed.action}' {_expiry(self.lapsed)}"
            return self.answer("permission_expired", reason)
        return self.answer("no_permission", f"No permission for action '{self.request.action}'")

    # Writing it down

    def skip(self, permission: Permission, verdict: str, because: str) -> Literal[False]:
        self.trace.append(Looked(permission.id, permission.action, applied=False, verdict=verdict, because=because))
        return False

    def apply(self, permission: Permission, verdict: str, because: str) -> None:
        self.trace.append(Looked(permission.id, permission.action, applied=True, verdict=verdict, because=because))

    def answer(self, code: str, reason: str, permission: Permission | None = None) -> Decision:
        outcome: Effect = "allow" if code == "allowed" else "ask" if code == "requires_approval" else "deny"
        currency = self.currency if type(self.currency) is str else permission.currency if permission else None
        return Decision(
            outcome, permission, reason, tuple(self.trace), code, self.amount, currency, conditional=self.conditional
        )


def _expiry(permission: Permission) -> str:
    moment = permission.expires_at
    return f"expired at {moment.astimezone(UTC):%Y-%m-%d %H:%M UTC}" if moment else ""


def _currency_differs(given: Any, currency: str) -> str:
    if type(given) is not str or not is_plain(given):
        return f"Currency is not {currency}"
    return f"Currency {given.upper()} does not match {currency}"
