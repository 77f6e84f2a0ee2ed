"""What holds for every policy and every request: against an oracle that reads the rules slowly, and by laws."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from agents.policy import Agent, Decision, Permission, Policy, Request, compile_policy, decide, describe, ladders
from tests.agents.policies import BILLING, NOW, OPS

AMOUNTS = [Decimal(text) for text in ("0", "5", "5.01", "50", "100")]
ACTIONS = ["a.b", "a.b.x", "a.b.y", "a.b.x.z", "a.c"]
NAMES = [*ACTIONS, "a.*", "a.b.*"]

# CEL, and what it should give: True, False, or None for "cannot be evaluated".
CONDITIONS: dict[str, Callable[[Mapping[str, Any]], bool | None]] = {
    "": lambda context: True,
    "true": lambda context: True,
    "false": lambda context: False,
    "context.vip": lambda context: context["vip"] if isinstance(context.get("vip"), bool) else None,
    "has(context.vip)": lambda context: "vip" in context,
    "context.vip ==": lambda context: None,
}

permissions = st.builds(
    Permission,
    id=st.uuids().map(str),
    action=st.sampled_from(NAMES),
    effect=st.sampled_from(["allow", "allow", "ask", "ask", "deny"]),
    max_amount=st.sampled_from([None, *AMOUNTS]),
    currency=st.sampled_from([None, None, "USD", "EUR"]),
    environment=st.sampled_from([None, None, None, None, "production", "staging"]),
    condition=st.sampled_from(["", "", "", "", "", *CONDITIONS]),
    callee=st.sampled_from([None, None, None, None, None, OPS, BILLING]),
    expires_at=st.sampled_from([None, None, None, None, None, NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)]),
)
plain_permissions = st.builds(
    Permission,
    id=st.uuids().map(str),
    action=st.sampled_from(NAMES),
    effect=st.sampled_from(["allow", "ask", "deny"]),
    max_amount=st.sampled_from([None, *AMOUNTS]),
)
policies = st.lists(permissions, min_size=1, max_size=8)
amounts = st.one_of(
    st.sampled_from([0, 5, 5.01, "5.01", "5.02", 50, "50.00", 100, 100.01, 10**6]),
    st.sampled_from([None, True, -1, "ten", "1e1", float("nan"), [], 10**99]),
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "amount": amounts,
        "currency": st.sampled_from([None, "USD", "usd", "EUR", 7]),
        "vip": st.sampled_from([True, False, None, "yes"]),
    },
)
requests = st.builds(
    Request,
    agent=st.just("bot"),
    action=st.sampled_from(ACTIONS),
    context=contexts,
    environment=st.sampled_from([None, "production", "staging"]),
    callee=st.sampled_from([None, OPS, BILLING]),
)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)


def policy_of(granted: list[Permission]) -> Policy:
    agent = Agent("1", "bot", "active", tuple(granted))
    return compile_policy(organization_id="o", agents=[agent], environments=["production", "staging"])


def answer(granted: list[Permission], request: Request) -> Decision:
    return decide(policy_of(granted), request, NOW)


# The oracle


def amount_in(context: Mapping[str, Any]) -> Decimal | None:
    given = context.get("amount")
    if given is None or isinstance(given, bool | list | dict) or (isinstance(given, str) and "e" in given.lower()):
        return None
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < 10**28 else None


def means(permission: Permission, request: Request) -> bool:
    """Not expired, and in the right place; a deny also in an unknown one."""
    if permission.expires_at and permission.expires_at <= NOW:
        return False
    for meant, known in ((permission.environment, request.environment), (permission.callee, request.callee)):
        if meant not in (None, known) and not (permission.effect == "deny" and known is None):
            return False
    return True


def in_currency(permission: Permission, request: Request) -> bool:
    given = request.context.get("currency")
    return permission.currency is None or given is None or str(given).upper() == permission.currency


def covers(pattern: str, name: str) -> bool:
    return name == pattern or (pattern[-1] == "*" and name.startswith(pattern[:-1]))


def candidates(granted: list[Permission], name: str) -> tuple[str, list[Permission]]:
    """The name of the level that decides and its permissions that are not expired."""
    alive = [each for each in granted if not (each.expires_at and each.expires_at <= NOW)]
    gives = [each for each in alive if each.effect != "deny"]
    if any(each.action == name for each in gives):
        return name, [each for each in alive if each.action == name]
    children = [each for each in alive if each.action.rpartition(".")[0] == name and not each.action.endswith("*")]
    if any(each.max_amount is not None and each in gives for each in children):
        return "tiers", children
    for pattern in sorted({each.action for each in gives if covers(each.action, name)}, key=len, reverse=True):
        return pattern, [each for each in alive if each.action == pattern]
    return "", []


def is_denied(granted: list[Permission], request: Request, name: str, level: str) -> bool:
    return any(
        each.effect == "deny"
        and covers(each.action, name)
        and (each.max_amount is None or each.action != level)
        and means(each, request)
        and CONDITIONS[each.condition](request.context) is not False
        for each in granted
    )


def oracle(granted: list[Permission], request: Request) -> str:
    level, found = candidates(granted, request.action)
    if is_denied(granted, request, request.action, level):
        return "deny"
    if level != "tiers":
        found = [each for each in found if each.effect != "deny" or each.max_amount is not None]
    found = [each for each in found if means(each, request) and in_currency(each, request)]
    amount = amount_in(request.context)
    if amount is None and (level == "tiers" or any(each.max_amount is not None for each in found)):
        return "deny"
    strict = ["deny", "ask", "allow"]
    heights = {(each.max_amount is None, each.max_amount or 0, strict.index(each.effect)) for each in found}
    for unlimited, maximum, strictness in sorted(heights):
        equal = [each for each in found if each.effect == strict[strictness] and (each.max_amount is None) == unlimited]
        equal = [each for each in equal if (each.max_amount or 0) == maximum]
        if not unlimited and amount is not None and amount > maximum:
            continue
        holding = [each for each in equal if CONDITIONS[each.condition](request.context)]
        if not holding and any(CONDITIONS[each.condition](request.context) is None for each in equal):
            return "deny"
        if holding and level != "tiers":
            return strict[strictness]
        if holding:  # which of several equal tiers is taken is a matter of their names
            tiers = {is_denied(granted, request, each.action, each.action) for each in holding}
            assume(len(tiers) == 1)
            return "deny" if tiers.pop() else strict[strictness]
    return "deny"


@settings(max_examples=600, deadline=None)
@given(policies, requests)
def test_the_answer_is_the_oracles(granted: list[Permission], request: Request) -> None:
    decision = answer(granted, request)
    event(f"{decision.outcome} {decision.code}")
    assert decision.code != "error"
    assert decision.outcome == oracle(granted, request)


@settings(max_examples=300, deadline=None)
@given(policies, requests)
def test_nothing_is_granted_without_a_permission_that_grants_it(granted: list[Permission], request: Request) -> None:
    decision = answer(granted, request)
    if decision.outcome == "deny":
        assert decision.permission is None or decision.code in ("denied_by_permission", "condition_error")
        return
    permission = decision.permission
    assert permission in granted
    assert permission.effect == decision.outcome
    assert covers(permission.action, request.action) or permission.action.rpartition(".")[0] == request.action
    assert means(permission, request)
    assert in_currency(permission, request)
    assert CONDITIONS[permission.condition](request.context) is True
    if permission.max_amount is not None:
        assert decision.amount is not None
        assert decision.amount == amount_in(request.context)
        assert decision.amount <= permission.max_amount
    assert decision.trace[-1].permission == permission.id
    assert decision.trace[-1].applied


@settings(max_examples=300, deadline=None)
@given(
    policies,
    st.dictionaries(st.sampled_from(["amount", "currency", "vip", "x"]) | st.text(), any_json, max_size=5),
    st.text(st.characters()) | st.sampled_from(ACTIONS),
    st.none() | st.text(st.characters()) | st.just("production"),
    st.none() | st.text(st.characters()),
)
def test_no_request_raises_or_is_unexplained(
    granted: list[Permission], context: dict[str, Any], action: str, environment: str | None, callee: str | None
) -> None:
    decision = answer(granted, Request("bot", action, context, environment, callee))
    assert decision.code != "error"
    assert decision.reason
    assert decision.outcome == "deny" or action in ACTIONS


@settings(max_examples=200, deadline=None)
@given(policies, requests, st.sampled_from(NAMES))
def test_a_deny_always_wins(granted: list[Permission], request: Request, name: str) -> None:
    assume(covers(name, request.action))
    assert answer([*granted, Permission("deny", name, "deny")], request).outcome == "deny"


@settings(max_examples=300, deadline=None)
@given(policies, permissions, requests)
def test_adding_a_deny_never_grants_anything(granted: list[Permission], added: Permission, request: Request) -> None:
    before = answer(granted, request)
    after = answer([*granted, dataclasses.replace(added, effect="deny")], request)
    assert after.outcome in (before.outcome, "deny")


@settings(max_examples=300, deadline=None)
@given(st.lists(plain_permissions, min_size=1, max_size=7), st.integers(0, 6), requests, st.integers(0, 110))
def test_removing_an_allow_never_allows_more(
    granted: list[Permission], index: int, request: Request, amount: int
) -> None:
    """Of one name, with an amount: without its last grant a name no longer overrides a wildcard, and without its last
    maximum it needs no amount."""
    request = dataclasses.replace(request, context={"amount": amount})
    granted = [dataclasses.replace(each, action=request.action) for each in granted]
    removed = granted[index % len(granted)]
    assume(removed.effect == "allow")
    before = answer(granted, request)
    after = answer([each for each in granted if each is not removed], request)
    assert not (before.outcome != "allow" and after.outcome == "allow")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(AMOUNTS), st.sampled_from(["a.b.x", "a.b.y"])), min_size=1, max_size=5),
    st.lists(st.sampled_from(["allow", "ask", "deny"]), min_size=5, max_size=5),
    st.booleans(),
    st.lists(st.decimals(0, 200, places=2), min_size=2, max_size=2),
)
def test_a_larger_amount_is_never_decided_more_loosely(
    rungs: list[tuple[Decimal, str]], effects: list[str], tiers: bool, pair: list[Decimal]
) -> None:
    strict = ["allow", "ask", "deny"]
    stricter = sorted(effects[: len(rungs)], key=strict.index)
    granted = [
        Permission(f"{number}", name if tiers else "a.b", effect, maximum)  # type: ignore[arg-type]
        for number, ((maximum, name), effect) in enumerate(zip(sorted(rungs), stricter, strict=True))
    ]
    smaller, larger = (
        answer(granted, Request("bot", "a.b", {"amount": f"{amount:f}"})).outcome for amount in sorted(pair)
    )
    assert strict.index(smaller) <= strict.index(larger)


@settings(max_examples=400, deadline=None)
@given(policies, requests, contexts, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_an_unconditional_answer_holds_for_every_context_and_later(
    granted: list[Permission], request: Request, other: dict[str, Any], later: timedelta
) -> None:
    policy = policy_of(granted)
    first = decide(policy, request, NOW)
    assume(not first.conditional)
    second = decide(policy, dataclasses.replace(request, context=other), NOW + later)
    assert not second.conditional
    assert (first.outcome, first.code, first.reason, first.permission, first.trace) == (
        *(second.outcome, second.code, second.reason, second.permission, second.trace),
    )


@settings(max_examples=100, deadline=None)
@given(policies, requests, st.randoms())
def test_the_order_of_permissions_does_not_matter(granted: list[Permission], request: Request, random: Any) -> None:
    shuffled = list(granted)
    random.shuffle(shuffled)
    assert policy_of(granted).version == policy_of(shuffled).version
    assert answer(granted, request) == answer(shuffled, request)


@settings(max_examples=100, deadline=None)
@given(policies)
def test_every_permission_is_drawn_once_and_described(granted: list[Permission]) -> None:
    drawn = ladders(Agent("1", "bot", "active", tuple(granted)))
    shown = [step.permission.id for each in drawn for step in each.steps if step.permission]
    shown += [deny.id for each in drawn for deny in each.denied]
    assert sorted(shown) == sorted(each.id for each in granted)
    assert all(describe(each) for each in granted)


@settings(max_examples=100, deadline=None)
@given(policies, requests)
def test_json_that_went_over_the_wire_is_decided_alike(granted: list[Permission], request: Request) -> None:
    sent = json.loads(json.dumps(request.context))
    assert answer(granted, dataclasses.replace(request, context=sent)) == answer(granted, request)
