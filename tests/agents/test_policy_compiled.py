"""Compiling, hashing, describing and reviewing permissions."""

import dataclasses
from datetime import timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from agents.policy import (
    Agent,
    Limit,
    Permission,
    Stop,
    check_permission,
    compile_policy,
    content_hash,
    covers,
    describe,
    ladders,
    plain,
    review_flags,
    show,
)
from tests.agents.policies import NOW, OPS, policy_of, tier

BOT = Agent("1", "bot", "active", (tier("a.b"), tier("a.c", "ask", "5")), "spiffe://acme.example/agent/bot")


def version(agents: Any = (BOT,), **rest: Any) -> str:
    content: dict[str, Any] = {"organization_id": "o", "stops": [], "environments": ["production", "staging"]}
    return content_hash(agents=agents, **{**content, **rest})


def test_the_version_is_a_hash_of_the_content() -> None:
    assert version().startswith("pv_")
    assert len(version()) == 27
    turned = dataclasses.replace(BOT, permissions=BOT.permissions[::-1])
    other = Agent("2", "other", "active", ())
    assert version((turned, other), environments=["staging", "production"]) == version((other, BOT))
    policy = compile_policy(organization_id="o", agents=[BOT], environments={"production", "staging"})
    assert policy.version == version()


def test_the_version_does_not_depend_on_how_the_same_thing_is_written() -> None:
    summer = timezone(timedelta(hours=2))
    one = tier("a.b", maximum="5", id="x", expires_at=NOW)
    two = tier("a.b", maximum="5.0000", id="x", expires_at=NOW.astimezone(summer))
    assert version([Agent("1", "bot", "active", (one,))]) == version([Agent("1", "bot", "active", (two,))])


def test_the_version_changes_with_every_part_of_the_content() -> None:
    agents = [
        dataclasses.replace(BOT, **change)
        for change in ({"id": "2"}, {"slug": "x"}, {"status": "banned"}, {"spiffe_id": None}, {"permissions": ()})
    ]
    base = tier("a.b", id="p")
    changes: list[dict[str, Any]] = [
        *({"id": "q"}, {"action": "a.c"}, {"effect": "ask"}, {"max_amount": Decimal(1)}, {"currency": "USD"}),
        *({"environment": "staging"}, {"condition": "true"}, {"callee": OPS}, {"risk": "high"}),
        *({"approval_rule": "r"}, {"expires_at": NOW}, {"limits": (Limit("day", Decimal(3)),)}),
    ]
    assert {name for change in changes for name in change} == {field.name for field in dataclasses.fields(Permission)}
    agents += [Agent("1", "bot", "active", (dataclasses.replace(base, **change),)) for change in [{}, *changes]]
    versions = {version([agent]) for agent in agents}
    versions |= {version(), version(organization_id="p"), version(environments=[])}
    versions |= {version(stops=[Stop()]), version(stops=[Stop("a", "email.*")]), version(stops=[Stop("", "email.*")])}
    assert len(versions) == len(agents) + 6


def test_two_agents_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="Two agents are called 'bot'"):
        compile_policy(organization_id="o", agents=[BOT, dataclasses.replace(BOT, id="2")])
    with pytest.raises(ValueError, match="Two agents are called '1'"):
        compile_policy(organization_id="o", agents=[BOT, Agent("2", "1", "active", ())])


@pytest.mark.parametrize(
    ("permission", "said"),
    [
        (tier("*"), "neither a name like 'stripe.refund' nor a wildcard"),
        (tier("email"), "neither a name"),
        (tier("*.send"), "neither a name"),
        (tier("email.*.send"), "neither a name"),
        (tier("email*"), "neither a name"),
        (tier("Email.send"), "neither a name"),
        (tier("a.b.c.d.e.f.*"), "neither a name"),
        (tier("a.b", "alow"), "not allow, ask or deny"),  # type: ignore[arg-type]
        (tier("a.b", "allow", "-1"), "negative or not a number"),
        (tier("a.b", "allow", "NaN"), "negative or not a number"),
        (tier("a.b", "allow", "Infinity"), "negative or not a number"),
        (tier("a.b", environment=""), "leave it out"),
        (tier("a.b", callee=""), "leave it out"),
        (tier("a.b", currency=""), "leave it out"),
        (tier("a.b", expires_at=NOW.replace(tzinfo=None)), "has no time zone"),
    ],
)
def test_a_permission_that_means_nothing_is_refused(permission: Permission, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_permission(permission)
    with pytest.raises(ValueError, match=said):
        policy_of(permission)


def test_covers_says_whether_a_permission_speaks_of_a_name() -> None:
    assert covers("a.b", "a.b")
    assert covers("a.*", "a.b.c")
    assert not covers("a.*", "ab.c")
    assert not covers("a.b", "a.b.c")


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("150", "150.00"),
        ("0.5", "0.50"),
        ("0.125", "0.125"),
        ("1E+3", "1000.00"),
        ("1E-7", "0.0000001"),
        ("2.5000", "2.50"),
    ],
)
def test_amounts_are_written_plainly(amount: str, written: str) -> None:
    assert plain(Decimal(amount)) == written


def test_amounts_are_shown_with_their_currency() -> None:
    assert show(Decimal("1000"), "USD") == "$1,000.00"
    assert show(Decimal("1000"), "USD", short=True) == "$1,000"
    assert show(Decimal("9.5"), "eur", short=True) == "€9.50"
    assert show(Decimal("1234567.125"), "CHF") == "1,234,567.125 CHF"
    assert show(Decimal("12")) == "12.00"


@pytest.mark.parametrize(
    ("permission", "sentence"),
    [
        (tier("stripe.refund", "allow", "200", currency="USD"), "stripe.refund up to $200.00 passes"),
        (tier("stripe.refund", "ask", "1000"), "stripe.refund up to 1,000.00 needs approval"),
        (tier("email.send", "deny"), "email.send is denied"),
        (tier("email.*"), "everything under email passes"),
        (
            tier("a.b", environment="production", callee=OPS, condition=" context.vip ", expires_at=NOW),
            f"a.b passes in production on {OPS} if context.vip until 2026-03-14 15:09 UTC",
        ),
    ],
)
def test_a_permission_is_described(permission: Permission, sentence: str) -> None:
    assert describe(permission) == sentence


def drawn(*permissions: Permission) -> list[tuple[str, list[tuple[str, str]], list[str]]]:
    agent = Agent("1", "bot", "active", permissions)
    return [
        (each.action, [(step.label, step.effect) for step in each.steps], [deny.action for deny in each.denied])
        for each in ladders(agent)
    ]


def test_tiers_are_drawn_as_one_ladder() -> None:
    assert drawn(
        tier("stripe.refund.large", "ask", "1000", currency="USD"),
        tier("stripe.refund.small", "allow", "50", currency="USD"),
        tier("stripe.refund.medium", "allow", "200", currency="USD"),
        tier("email.send"),
        tier("crm.*", "ask"),
    ) == [
        ("email.send", [("any amount", "allow")], []),
        ("stripe.refund", [("≤ $50", "allow"), ("≤ $200", "allow"), ("≤ $1,000", "ask"), ("above", "deny")], []),
        ("crm.*", [("any amount", "ask")], []),
    ]


def test_a_ladder_shows_who_wrote_the_last_step() -> None:
    (ladder,) = ladders(Agent("1", "bot", "active", (tier("a.b.x", "allow", "5"), tier("a.b.y", "deny"))))
    assert [(step.label, step.permission) for step in ladder.steps] == [
        ("≤ 5", tier("a.b.x", "allow", "5")),
        ("above", tier("a.b.y", "deny")),
    ]
    assert drawn(tier("a.b", "allow", "5"), tier("a.b", "ask")) == [("a.b", [("≤ 5", "allow"), ("above", "ask")], [])]


def test_denies_of_every_amount_are_drawn_apart() -> None:
    assert drawn(tier("a.b", "allow", "5"), tier("a.b", "deny")) == [
        ("a.b", [("≤ 5", "allow"), ("above", "deny")], ["a.b"])
    ]
    assert drawn(tier("a.b", "deny", "5"), tier("a.*", "deny")) == [("a.b", [], ["a.b"]), ("a.*", [], ["a.*"])]


def test_children_of_a_name_of_its_own_are_drawn_apart() -> None:
    assert [
        action for action, _, _ in drawn(*(tier(name, "allow", "5") for name in ("a.b", "a.b.x", "a.b.y", "a.c")))
    ] == [*("a.b", "a.b.x", "a.b.y", "a.c")]


@pytest.mark.parametrize(
    ("permission", "codes"),
    [
        (tier("email.send"), []),
        (tier("email.*"), ["wildcard", "whole_service", "unlimited_wildcard"]),
        (tier("email.draft.*", "ask"), ["wildcard"]),
        (tier("email.*", "deny"), []),
        (tier("db.drop", risk="critical"), ["risky_allow"]),
        (tier("db.drop", "ask", risk="critical"), []),
        (tier("data.read", callee="spiffe://acme.example/service"), ["generic_callee"]),
        (tier("data.read", callee=OPS), []),
    ],
)
def test_what_is_too_broad_is_flagged(permission: Permission, codes: list[str]) -> None:
    flags = review_flags(permission)
    assert [flag.code for flag in flags] == codes
    assert all(flag.text for flag in flags)
