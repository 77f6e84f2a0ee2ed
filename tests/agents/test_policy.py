"""What decides, rule by rule, in the words an agent's people will read."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.policy import STOPPED, Agent, Request, Stop, compile_policy, decide
from tests.agents.policies import BILLING, NOW, OPS, SOON, ask, policy_of, tier

SEED = (
    tier("stripe.refund.small", "allow", "50"),
    tier("stripe.refund.medium", "allow", "200"),
    tier("stripe.refund.large", "ask", "1000"),
)
LADDER = (
    tier("stripe.refund", "allow", "50"),
    tier("stripe.refund", "allow", "200", id="middle"),
    tier("stripe.refund", "ask", "1000"),
)
ASKS = "This action requires human approval"


# What the kill switch holds


@pytest.mark.parametrize(
    ("stop", "amount", "code"),
    [
        (Stop("", "stripe.*"), 20, "action_paused"),
        (Stop("", "stripe.refund"), 20, "action_paused"),
        (Stop("", "stripe.refund.*"), 20, "action_paused"),  # by the tier it comes to
        (Stop("", "stripe.refund.large"), 500, "action_paused"),
        (Stop("", "stripe.refund.large"), 20, "allowed"),
        (Stop("", "stripe.charge"), 20, "allowed"),
        (Stop("", "email.*"), 20, "allowed"),
        (Stop("agent-1", "stripe.*"), 20, "action_paused"),
        (Stop("agent-2", "stripe.*"), 20, "allowed"),
        (Stop("agent-2"), 20, "allowed"),
    ],
)
def test_a_stop_holds_the_name_and_the_tier_it_comes_to(stop: Stop, amount: int, code: str) -> None:
    decision = decide(policy_of(*SEED, stops=[stop]), Request("bot", "stripe.refund", {"amount": amount}), NOW)
    assert decision.code == code


# Before anything is looked up


@pytest.mark.parametrize(
    ("rest", "agent", "environment", "code", "reason"),
    [
        ({"stops": [Stop()]}, "bot", None, "organization_paused", "Organization is paused"),
        ({"stops": [Stop("agent-1")]}, "bot", None, "agent_paused", "Agent is paused"),
        ({"stops": [Stop("agent-1"), Stop()]}, "robot", None, "organization_paused", "Organization is paused"),
        ({"stops": [Stop("", "email.*")]}, "bot", None, "action_paused", "Actions 'email.*' are paused"),
        ({"stops": [Stop("agent-1", "email.send")]}, "bot", None, "action_paused", "Action 'email.send' is paused"),
        ({}, "robot", None, "unknown_agent", "Unknown agent"),
        ({}, "", None, "unknown_agent", "Unknown agent"),
        ({"status": "suspended"}, "bot", None, "agent_suspended", "Agent is suspended"),
        ({"status": "banned"}, "agent-1", None, "agent_banned", "Agent is banned"),
        ({"status": "retired"}, "bot", None, "agent_suspended", "Agent is suspended"),
        ({}, "bot", "test", "unknown_environment", "Unknown environment 'test'"),
        ({}, "bot", "", "unknown_environment", "Unknown environment"),
        ({}, "bot", "'\n\u202e", "unknown_environment", "Unknown environment"),
    ],
)
def test_who_may_not_ask_at_all(
    rest: dict[str, Any], agent: str, environment: str | None, code: str, reason: str
) -> None:
    policy = policy_of(tier("email.send"), **rest)
    decision = decide(policy, Request(agent, "email.send", {}, environment), NOW)
    assert (decision.outcome, decision.code, decision.reason) == ("deny", code, reason)
    assert decision.conditional is (code in STOPPED)  # what stands still may go on: no client keeps that answer


def test_an_agent_is_found_by_its_slug_and_by_its_id() -> None:
    policy = policy_of(tier("email.send"))
    assert decide(policy, Request("bot", "email.send", {}), NOW).outcome == "allow"
    assert decide(policy, Request("agent-1", "email.send", {}), NOW).outcome == "allow"


def test_an_agent_has_no_part_in_the_permissions_of_another() -> None:
    mine, yours = (Agent("1", "mine", "active", (tier("a.b"),)), Agent("2", "yours", "active", (tier("c.d"),)))
    policy = compile_policy(organization_id="org-1", agents=[mine, yours])
    assert decide(policy, Request("mine", "c.d", {}), NOW).code == "no_permission"
    assert decide(policy, Request("yours", "c.d", {}), NOW).code == "allowed"


@pytest.mark.parametrize(
    "action",
    [
        *(
            "",
            "email",
            "Email.send",
            "email.Send",
            "email..send",
            ".email.send",
            "email.send.",
            "email.send\n",
            "email send",
        ),
        *(
            "a.b.c.d.e.f.g",
            "email.sénd",
            "email.*",
            "*",
            "-a.b",
            "a._b",
            "a." + "b" * 199,
            "email.send\0",
            "e mail.send",
        ),
    ],
)
def test_a_name_that_is_none_is_denied(action: str) -> None:
    decision = ask(tier("email.*"), tier("email.send"), action=action)
    assert (decision.outcome, decision.code) == ("deny", "action_invalid")
    assert decision.reason.startswith("Action must be a name like 'stripe.refund.create': two to six parts")


@pytest.mark.parametrize("action", ["a.b", "mcp.github-server.create_issue", "1a.2b", "a.b.c.d.e.f", "a." + "b" * 198])
def test_a_name_of_two_to_six_parts_is_one(action: str) -> None:
    assert ask(tier(action), action=action).outcome == "allow"


# Default deny, exact names, wildcards


def test_what_nobody_permitted_is_denied() -> None:
    decision = ask(tier("email.send"), action="x.y")
    assert (decision.outcome, decision.code, decision.reason) == (
        "deny",
        "no_permission",
        "No permission for action 'x.y'",
    )
    assert ask(action="x.y").reason == "No permission for action 'x.y'"


def test_what_is_permitted_is_allowed_and_what_is_risky_asks() -> None:
    allowed = ask(tier("email.send"), action="email.send")
    assert (allowed.outcome, allowed.code, allowed.reason) == ("allow", "allowed", "Allowed by 'email.send'")
    assert allowed.permission == tier("email.send")
    asked = ask(tier("deploy.production", "ask"), action="deploy.production")
    assert (asked.outcome, asked.code, asked.reason) == ("ask", "requires_approval", ASKS)
    assert asked.permission == tier("deploy.production", "ask")


@pytest.mark.parametrize(
    ("pattern", "action", "matches"),
    [
        ("email.*", "email.send", True),
        ("email.*", "email.draft.send", True),
        ("email.*", "emails.send", False),
        ("email.draft.*", "email.draft", False),
        ("email.draft.*", "email.draft.send", True),
        ("email.draft.*", "email.drafts.send", False),
        ("email.draft.*", "email.send", False),
    ],
)
def test_a_wildcard_covers_what_is_below_its_prefix(pattern: str, action: str, matches: bool) -> None:
    assert ask(tier(pattern), action=action).outcome == ("allow" if matches else "deny")
    assert ask(tier(pattern, "deny"), tier(action), action=action).outcome == ("deny" if matches else "allow")


def test_a_wildcard_never_wins_over_an_exact_name() -> None:
    assert ask(tier("email.*"), tier("email.send", "ask"), action="email.send").outcome == "ask"
    assert ask(tier("email.*", "ask"), tier("email.send"), action="email.send").outcome == "allow"
    over = ask(tier("email.*"), tier("email.send", "allow", "5"), action="email.send", amount=6)
    assert over.code == "amount_exceeded"
    elsewhere = ask(
        tier("email.*"), tier("email.send", environment="staging"), action="email.send", environment="production"
    )
    assert elsewhere.reason == "No permission for action 'email.send' in environment 'production'"


def test_the_longest_wildcard_goes_first() -> None:
    permissions = (tier("email.*"), tier("email.internal.*", "ask"), tier("email.internal.hr.*", "allow", "10"))
    assert ask(*permissions, action="email.send").outcome == "allow"
    assert ask(*permissions, action="email.internal.send").outcome == "ask"
    assert ask(*permissions, action="email.internal.hr.send", amount=10).outcome == "allow"
    assert ask(*permissions, action="email.internal.hr.send", amount=11).code == "amount_exceeded"


def test_wildcards_of_one_pattern_are_a_ladder() -> None:
    permissions = (tier("pay.*", "allow", "50"), tier("pay.*", "ask", "100"))
    assert ask(*permissions, action="pay.out", amount=50).outcome == "allow"
    assert ask(*permissions, action="pay.out", amount=51).outcome == "ask"
    assert ask(*permissions, action="pay.out", amount=101).reason == "Amount 101.00 exceeds maximum allowed 100.00"
    assert ask(*permissions, action="pay.out").reason == "An amount is required: 'pay.*' has a maximum"


# Deny wins


@pytest.mark.parametrize(
    ("deny", "reason"),
    [
        (tier("stripe.refund", "deny"), "Denied by permission 'stripe.refund'"),
        (tier("stripe.*", "deny"), "Denied by permission 'stripe.*'"),
        (tier("stripe.*", "deny", currency="EUR"), "Denied by permission 'stripe.*'"),
        (tier("stripe.*", "deny", condition="amount < 100"), "Denied by permission 'stripe.*'"),
        (tier("stripe.*", "deny", condition="context.missing"), "Denied by permission 'stripe.*'"),
        (tier("stripe.*", "deny", condition="context.missing ="), "Denied by permission 'stripe.*'"),
        (tier("stripe.*", "deny", environment="production"), "Denied by permission 'stripe.*'"),
        (tier("stripe.*", "deny", callee=OPS), "Denied by permission 'stripe.*'"),
        (tier("stripe.*", "deny", expires_at=SOON), "Denied by permission 'stripe.*'"),
    ],
)
@pytest.mark.parametrize("environment", [None, "production"])
def test_a_deny_wins_over_every_allow(deny: Any, reason: str, environment: str | None) -> None:
    for granted in (LADDER, SEED, (tier("stripe.refund"),), (tier("stripe.*"),)):
        decision = ask(deny, *granted, amount=30, currency="USD", environment=environment)
        assert (decision.outcome, decision.code, decision.reason) == ("deny", "denied_by_permission", reason)
        assert decision.permission == deny


@pytest.mark.parametrize(
    "deny",
    [
        tier("stripe.refund", "deny", environment="staging"),
        tier("stripe.refund", "deny", callee=BILLING),
        tier("stripe.refund", "deny", condition="amount > 100"),
        tier("stripe.refund", "deny", expires_at=NOW),
        tier("stripe.refund.small.*", "deny"),
        tier("stripe.charge", "deny"),
    ],
)
@pytest.mark.parametrize("granted", [LADDER, SEED, (tier("stripe.*"),)])
def test_a_deny_of_something_else_changes_nothing(deny: Any, granted: Any) -> None:
    assert ask(deny, *granted, amount=30, environment="production", callee=OPS).outcome == "allow"


def test_a_deny_names_the_tier_the_request_is_routed_to() -> None:
    for deny in (
        tier("stripe.refund.small", "deny"),
        tier("stripe.refund.*", "deny"),
        tier("stripe.refund.*", "deny", "1"),
    ):
        decision = ask(*SEED, deny, amount=30)
        assert decision.reason == f"Denied by permission '{deny.action}'"
    assert ask(*SEED, tier("stripe.refund.small", "deny"), amount=100).outcome == "allow"


def test_a_deny_alone_ignores_its_maximum() -> None:
    for granted in (tier("stripe.*"), tier("stripe.refund.small", "allow", "900")):
        assert ask(granted, tier("stripe.refund", "deny", "10"), amount=500).code == "denied_by_permission"
    assert ask(*LADDER, tier("stripe.*", "deny", "10"), amount=30).code == "denied_by_permission"


def test_a_deny_with_a_maximum_is_a_rung_of_its_own_ladder() -> None:
    permissions = (
        tier("stripe.refund", "allow", "50"),
        tier("stripe.refund", "deny", "100"),
        tier("stripe.refund", "ask", "1000"),
    )
    assert [ask(*permissions, amount=amount).outcome for amount in (50, 51, 100, 101, 1000, 1001)] == [
        *("allow", "deny", "deny", "ask", "ask", "deny")
    ]
    assert ask(*permissions, amount=100).reason == "Denied by permission 'stripe.refund'"


def test_a_deny_without_a_maximum_is_the_last_tier_below_a_name() -> None:
    permissions = (*SEED, tier("stripe.refund.huge", "deny"))
    assert ask(*permissions, amount=1000).outcome == "ask"
    assert ask(*permissions, amount=1001).reason == "Denied by permission 'stripe.refund.huge'"


# Ladders


@pytest.mark.parametrize(
    ("amount", "outcome"),
    [(0, "allow"), (50, "allow"), ("50.01", "allow"), (200, "allow"), (200.01, "ask"), (1000, "ask")],
)
@pytest.mark.parametrize("permissions", [LADDER, SEED, tuple(reversed(LADDER)), tuple(reversed(SEED))])
def test_the_smallest_rung_that_holds_the_amount_is_taken(permissions: Any, amount: Any, outcome: str) -> None:
    assert ask(*permissions, amount=amount).outcome == outcome


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (1001, "Amount 1001.00 exceeds maximum allowed 1000.00"),
        ("1000.001", "Amount 1000.001 exceeds maximum allowed 1000.00"),
        ("1500.10", "Amount 1500.10 exceeds maximum allowed 1000.00"),
        (1e20, "Amount 100000000000000000000.00 exceeds maximum allowed 1000.00"),
        (10**27, "Amount 1000000000000000000000000000.00 exceeds maximum allowed 1000.00"),
    ],
)
@pytest.mark.parametrize("permissions", [LADDER, SEED])
def test_above_the_largest_maximum_is_denied(permissions: Any, amount: Any, reason: str) -> None:
    decision = ask(*permissions, amount=amount)
    assert (decision.outcome, decision.code, decision.reason) == ("deny", "amount_exceeded", reason)
    assert decision.permission is None


def test_the_amounts_of_the_contract() -> None:
    decision = ask(tier("stripe.refund", "allow", "100.0000"), amount=150)
    assert decision.reason == "Amount 150.00 exceeds maximum allowed 100.00"


def test_among_equal_rungs_the_strictest_wins() -> None:
    allow, asks, deny = (tier("stripe.refund", effect, "50") for effect in ("allow", "ask", "deny"))
    assert ask(allow, asks, amount=5).outcome == "ask"
    assert ask(asks, allow, deny, amount=5).outcome == "deny"
    assert ask(tier("stripe.refund"), tier("stripe.refund", "ask")).outcome == "ask"


def test_a_rung_without_a_maximum_is_the_last() -> None:
    permissions = (tier("stripe.refund", "ask"), tier("stripe.refund", "allow", "50"))
    assert ask(*permissions, amount=50).outcome == "allow"
    assert ask(*permissions, amount=10**9).outcome == "ask"
    assert ask(*permissions).code == "amount_required"
    tiers = (tier("stripe.refund.any", "ask"), tier("stripe.refund.small", "allow", "50"))
    assert ask(*tiers, amount=10**9).outcome == "ask"


@pytest.mark.parametrize("limited", [LADDER, SEED])
@pytest.mark.parametrize(
    ("context", "code", "reason"),
    [
        ({}, "amount_required", "An amount is required: 'stripe.refund' "),
        ({"amount": None}, "amount_required", "An amount is required: 'stripe.refund' "),
        ({"amount": True}, "amount_invalid", "Amount is true or false, not a number"),
        ({"amount": False}, "amount_invalid", "Amount is true or false, not a number"),
        ({"amount": -1}, "amount_invalid", "Amount is negative"),
        ({"amount": -0.0}, "amount_invalid", "Amount is negative"),
        ({"amount": "-0.01"}, "amount_invalid", "Amount is negative"),
        ({"amount": "-0"}, "amount_invalid", "Amount is negative"),
        ({"amount": float("nan")}, "amount_invalid", "Amount is not a finite number"),
        ({"amount": float("inf")}, "amount_invalid", "Amount is not a finite number"),
        ({"amount": float("-inf")}, "amount_invalid", "Amount is not a finite number"),
        ({"amount": 1e300}, "amount_invalid", "Amount is longer than 30 characters"),
        ({"amount": 5e-324}, "amount_invalid", "Amount is longer than 30 characters"),
        ({"amount": 10**40}, "amount_invalid", "Amount is longer than 30 characters"),
        ({"amount": 10**100_000}, "amount_invalid", "Amount is longer than 30 characters"),
        ({"amount": "1" * 31}, "amount_invalid", "Amount is longer than 30 characters"),
        ({"amount": "9" * 10_000_000}, "amount_invalid", "Amount is longer than 30 characters"),
        *(
            ({"amount": text}, "amount_invalid", "Amount is not a plain decimal number")
            for text in (
                "",
                "ten",
                "1e2",
                "1E2",
                " 5",
                "5 ",
                "+5",
                "5,00",
                "1_000",
                ".5",
                "5.",
                "0x5",
                "٥",
                "５",
                "5\n",
                "5\0",
            )
        ),
        *(
            ({"amount": text}, "amount_invalid", "Amount is not a plain decimal number")
            for text in ("NaN", "Infinity", "$5")
        ),
        ({"amount": []}, "amount_invalid", "Amount is not a number"),
        ({"amount": {"value": 5}}, "amount_invalid", "Amount is not a number"),
    ],
)
def test_an_amount_that_cannot_be_compared_is_denied(
    limited: Any, context: dict[str, Any], code: str, reason: str
) -> None:
    decision = ask(*limited, context=context)
    assert (decision.outcome, decision.code, decision.amount) == ("deny", code, None)
    assert decision.reason.startswith(reason)


def test_what_is_said_when_the_amount_is_missing() -> None:
    assert ask(*SEED).reason == "An amount is required: 'stripe.refund' is divided into tiers by amount"
    assert ask(*LADDER).reason == "An amount is required: 'stripe.refund' has a maximum"


def test_an_amount_does_not_matter_where_no_maximum_applies() -> None:
    decision = ask(tier("email.send"), action="email.send", amount="a lot")
    assert (decision.outcome, decision.amount) == ("allow", None)


# Tiers


def test_a_tier_may_be_asked_for_by_its_own_name() -> None:
    assert ask(*SEED, action="stripe.refund.medium", amount=30).reason == "Allowed by 'stripe.refund.medium'"
    over = ask(*SEED, action="stripe.refund.small", amount=60)
    assert over.reason == "Amount 60.00 exceeds maximum allowed 50.00"


def test_an_exact_name_switches_the_routing_off() -> None:
    decision = ask(*SEED, tier("stripe.refund", "ask", "10"), amount=30)
    assert decision.reason == "Amount 30.00 exceeds maximum allowed 10.00"


def test_children_without_any_maximum_are_no_tiers() -> None:
    decision = ask(tier("stripe.refund.full"), tier("stripe.refund.partial"), amount=30)
    assert decision.reason == "No permission for action 'stripe.refund'"
    with_a_deny = ask(tier("stripe.refund.full"), tier("stripe.refund.partial", "deny", "10"), amount=30)
    assert with_a_deny.reason == "No permission for action 'stripe.refund'"


def test_only_direct_children_are_tiers() -> None:
    assert ask(tier("stripe.refund.eu.small", "allow", "50"), amount=30).code == "no_permission"
    assert ask(tier("stripe.refund.*", "allow", "50"), amount=30).code == "no_permission"


def test_tiers_go_before_wildcards() -> None:
    assert ask(*SEED, tier("stripe.*"), amount=2000).code == "amount_exceeded"
    assert ask(*SEED, tier("stripe.*")).code == "amount_required"
    assert ask(*SEED, tier("stripe.*"), action="stripe.charge").outcome == "allow"


# Environments, callees, currencies, expiry


def test_a_grant_for_an_environment_holds_only_there() -> None:
    permission = tier("deploy.run", environment="staging")
    assert ask(permission, action="deploy.run", environment="staging").outcome == "allow"
    elsewhere = ask(permission, action="deploy.run", environment="production")
    assert elsewhere.reason == "No permission for action 'deploy.run' in environment 'production'"
    assert elsewhere.code == "no_permission"
    nowhere = ask(permission, action="deploy.run")
    assert nowhere.reason == "No permission for action 'deploy.run' without an environment"


def test_a_deny_for_an_environment_also_holds_where_none_is_known() -> None:
    permissions = (tier("deploy.run"), tier("deploy.run", "deny", environment="production"))
    assert ask(*permissions, action="deploy.run", environment="staging").outcome == "allow"
    assert ask(*permissions, action="deploy.run", environment="production").outcome == "deny"
    assert ask(*permissions, action="deploy.run").outcome == "deny"


def test_a_ladder_has_the_rungs_of_its_environment() -> None:
    permissions = (
        tier("stripe.refund", "allow", "50", environment="production"),
        tier("stripe.refund", "allow", "500", environment="staging"),
    )
    assert ask(*permissions, amount=100, environment="staging").outcome == "allow"
    decision = ask(*permissions, amount=100, environment="production")
    assert decision.reason == "Amount 100.00 exceeds maximum allowed 50.00"


def test_a_callee_is_matched_exactly() -> None:
    permission = tier("data.read", callee=OPS)
    assert ask(permission, action="data.read", callee=OPS).outcome == "allow"
    for other, words in ((BILLING, "on this callee"), (OPS + "/x", "on this callee"), (None, "without a callee")):
        assert (
            ask(permission, action="data.read", callee=other).reason == f"No permission for action 'data.read' {words}"
        )
    assert ask(tier("data.read"), action="data.read", callee=OPS).outcome == "allow"
    deny = (tier("data.read"), tier("data.read", "deny", callee=OPS))
    assert [ask(*deny, action="data.read", callee=callee).outcome for callee in (OPS, None, BILLING)] == [
        *("deny", "deny", "allow")
    ]


@pytest.mark.parametrize(
    ("currency", "outcome", "reason"),
    [
        (None, "allow", "Allowed by 'stripe.refund'"),
        ("USD", "allow", "Allowed by 'stripe.refund'"),
        ("usd", "allow", "Allowed by 'stripe.refund'"),
        ("EUR", "deny", "Currency EUR does not match USD"),
        ("eur", "deny", "Currency EUR does not match USD"),
        ("", "deny", "Currency is not USD"),
        ("uſd", "deny", "Currency is not USD"),
        ("USD\0", "deny", "Currency is not USD"),
        (840, "deny", "Currency is not USD"),
        (["USD"], "deny", "Currency is not USD"),
    ],
)
def test_a_currency_must_be_the_permissions(currency: Any, outcome: str, reason: str) -> None:
    decision = ask(tier("stripe.refund", "allow", "50", currency="USD"), amount=5, currency=currency)
    assert (decision.outcome, decision.reason) == (outcome, reason)
    assert decision.code == ("allowed" if outcome == "allow" else "currency_mismatch")


def test_a_ladder_has_the_rungs_of_its_currency() -> None:
    permissions = (
        tier("stripe.refund", "allow", "50", currency="USD"),
        tier("stripe.refund", "allow", "5000", currency="JPY"),
    )
    assert ask(*permissions, amount=100, currency="JPY").outcome == "allow"
    assert ask(*permissions, amount=100, currency="USD").reason == "Amount 100.00 exceeds maximum allowed 50.00"


def test_the_decision_keeps_the_amount_and_its_currency() -> None:
    permission = tier("stripe.refund", "ask", "50", currency="USD")
    decision = ask(permission, amount="12.50")
    assert (str(decision.amount), decision.currency) == ("12.50", "USD")
    assert ask(permission, amount=5, currency="usd").currency == "usd"


def test_an_expired_permission_is_absent() -> None:
    over = tier("email.send", expires_at=NOW)
    assert ask(tier("email.send", expires_at=SOON), action="email.send").outcome == "allow"
    decision = ask(over, action="email.send")
    assert (decision.outcome, decision.code) == ("deny", "permission_expired")
    assert decision.reason == "Permission for 'email.send' expired at 2026-03-14 15:09 UTC"
    assert [(line.verdict, line.applied) for line in decision.trace] == [("expired", False)]
    assert ask(over, tier("email.*", "ask"), action="email.send").outcome == "ask"
    assert ask(over, tier("email.send", "ask"), action="email.send").outcome == "ask"
    assert ask(tier("email.send"), tier("email.send", "deny", expires_at=NOW), action="email.send").outcome == "allow"


def test_a_deny_rung_denies_every_amount_once_its_ladder_has_expired() -> None:
    permissions = (
        tier("stripe.refund", "allow", "50", expires_at=NOW),
        tier("stripe.refund", "deny", "100"),
        tier("stripe.*"),
    )
    assert ask(*permissions, amount=500).code == "denied_by_permission"
    assert ask(*permissions, amount=50, now=NOW - timedelta(seconds=1)).outcome == "allow"


# Conditions


def test_a_condition_that_is_false_leads_to_the_next_rung() -> None:
    permissions = (
        tier("stripe.refund", "allow", "50", condition="context.vip"),
        tier("stripe.refund", "ask", "1000"),
    )
    assert ask(*permissions, amount=5, vip=True).outcome == "allow"
    assert ask(*permissions, amount=5, vip=False).outcome == "ask"
    assert ask(*permissions, amount=51, vip=True).outcome == "ask"


def test_a_condition_that_fails_never_leads_to_another_rung() -> None:
    permissions = (
        tier("stripe.refund", "ask", "50", condition="context.risk < 3"),
        tier("stripe.refund", "allow", "1000"),
    )
    decision = ask(*permissions, amount=5)
    assert (decision.outcome, decision.code) == ("deny", "condition_error")
    assert decision.reason == "Condition of 'stripe.refund' could not be evaluated: there is no \"risk\""
    assert decision.permission == permissions[0]
    assert ask(*permissions, amount=51).outcome == "allow"


def test_only_an_equal_stands_in_for_a_rung_that_failed() -> None:
    failing = tier("stripe.refund", "allow", "50", condition="context.risk < 3")
    for equal in (tier("stripe.refund", "allow", "50"), tier("stripe.refund", "allow", "50", condition="context.vip")):
        assert ask(failing, equal, amount=5, vip=True).permission == equal
        assert ask(failing, equal, amount=5, vip=True, risk=1).outcome == "allow"
    for other in (
        tier("stripe.refund", "allow", "50", condition="context.vip"),
        tier("stripe.refund", "allow", "60"),
        tier("stripe.refund", "ask", "60"),
        tier("stripe.refund"),
    ):
        assert ask(failing, other, amount=5, vip=False).code == "condition_error"


def test_a_condition_that_does_not_compile_denies() -> None:
    decision = ask(tier("email.send", condition="context.to ="), action="email.send", to="x")
    assert (decision.outcome, decision.code) == ("deny", "condition_error")
    assert decision.reason.startswith("Condition of 'email.send' could not be evaluated: Syntax error")


def test_a_condition_that_is_false_everywhere_denies() -> None:
    decision = ask(tier("email.send", condition="context.to == 'me'"), action="email.send", to="you")
    assert (decision.outcome, decision.code, decision.reason) == (
        "deny",
        "condition_failed",
        "Condition of 'email.send' is not met",
    )


def test_a_condition_sees_the_request_the_agent_and_the_clock() -> None:
    condition = (
        "context.n == 1 && amount == 12.5 && agent.slug == 'bot' && agent.id == 'agent-1' && environment == 'staging'"
        " && now > timestamp('2026-03-14T15:09:25Z')"
    )
    decision = ask(tier("a.b", condition=condition), action="a.b", n=1, amount="12.50", environment="staging")
    assert decision.outcome == "allow"


# The trace, the cache, surprises


def test_the_trace_tells_what_was_looked_at_and_why() -> None:
    decision = ask(
        tier("stripe.refund", "deny", condition="context.fraud"),
        *LADDER,
        tier("stripe.refund", "allow", "5000", environment="staging"),
        tier("email.send"),
        amount=300,
        fraud=False,
        environment="production",
    )
    assert [(line.permission, line.applied, line.verdict, line.because) for line in decision.trace] == [
        ("deny stripe.refund  context.fraud", False, "condition_false", "Its condition is not met"),
        ("allow stripe.refund 5000 staging", False, "environment", "Only in environment 'staging'"),
        ("allow stripe.refund 50", False, "over_maximum", "300.00 is over its maximum 50.00"),
        ("middle", False, "over_maximum", "300.00 is over its maximum 200.00"),
        ("ask stripe.refund 1000", True, "asks", "Applies: a person must approve"),
    ]


@pytest.mark.parametrize(
    ("permission", "conditional"),
    [
        (tier("a.b"), False),
        (tier("a.b", "ask"), False),
        (tier("a.b", "deny"), False),
        (tier("a.*"), False),
        (tier("a.c"), False),
        (tier("a.b", environment="staging"), False),
        (tier("a.b", callee=OPS), False),
        (tier("a.b", expires_at=NOW), False),
        (tier("a.b", expires_at=SOON), True),
        (tier("a.b", "allow", "5"), True),
        (tier("a.b", currency="USD"), True),
        (tier("a.b", condition="true"), True),
        (tier("a.b", "deny", condition="true"), True),
        (tier("a.b.small", "allow", "5"), True),
    ],
)
def test_an_answer_is_conditional_if_the_context_or_the_clock_may_change_it(permission: Any, conditional: bool) -> None:
    assert ask(permission, action="a.b", amount=5).conditional is conditional


@pytest.mark.parametrize(
    "request_",
    [
        Request("bot", "a.b", None),  # type: ignore[arg-type]
        Request("bot", ["a", "b"], {}),  # type: ignore[arg-type]
        Request({}, "a.b", {}),  # type: ignore[arg-type]
        Request("bot", None, {}),  # type: ignore[arg-type]
        Request("bot", "a.b", {}, environment=[]),  # type: ignore[arg-type]
    ],
)
def test_a_surprise_is_a_deny(request_: Request) -> None:
    decision = decide(policy_of(tier("a.b")), request_, NOW)
    assert (decision.outcome, decision.code, decision.reason) == ("deny", "error", "The request could not be decided")
    assert decision.trace[0].because


def test_a_time_without_a_zone_is_a_deny_where_time_matters() -> None:
    naive = datetime(2026, 1, 1)
    assert ask(tier("a.b", expires_at=SOON), action="a.b", now=naive).code == "error"


def test_a_decision_cannot_be_changed() -> None:
    decision = ask(tier("a.b"), action="a.c")
    with pytest.raises(dataclasses.FrozenInstanceError):
        decision.outcome = "allow"  # type: ignore[misc]
    assert NOW.tzinfo is UTC
