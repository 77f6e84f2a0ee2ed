"""What is drawn is what is decided."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import board, policy
from agents.models import Permission

NOW = datetime(2026, 6, 1, tzinfo=UTC)
amounts = st.decimals(min_value=0, max_value=1000, places=2)
tiers = st.lists(
    st.tuples(
        st.sampled_from(["small", "medium", "large", "huge"]), st.sampled_from(["allow", "ask", "deny"]), amounts
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda tier: tier[2],
)


def a_board(rows):
    return board.draw(rows, now=NOW)


@given(tiers, amounts)
def test_the_rung_that_holds_an_amount_is_the_one_that_decides(drawn, amount):
    rows = [Permission(action=f"stripe.refund.{name}", effect=effect, max_amount=top) for name, effect, top in drawn]
    if all(row.effect == "deny" for row in rows):
        return
    compiled = policy.compile_policy(
        organization_id="o",
        agents=[
            policy.Agent("a", "bot", "active", tuple(_plain(row) for row in rows)),
        ],
    )
    decision = policy.decide(compiled, policy.Request("bot", "stripe.refund", {"amount": str(amount)}), NOW)
    (ladder,) = a_board(rows).ladders
    held = next(
        (rung for rung in ladder.rungs if rung.permission is None or amount <= rung.permission.max_amount),
    )
    if decision.code == "denied_by_permission":
        return  # a deny of the tier's own name, with or without an amount, wins over the ladder
    assert held.effect == decision.outcome


def _plain(row):
    return policy.Permission(id=str(row.id), action=row.action, effect=row.effect, max_amount=row.max_amount)


@pytest.mark.parametrize(
    ("rows", "warned"),
    [
        ([("allow", 50, {}), ("ask", 100, {})], False),
        ([("ask", 50, {}), ("allow", 100, {})], True),
        ([("deny", 50, {}), ("ask", 100, {})], True),
        ([("ask", 50, {"environment": "a"}), ("allow", 100, {"environment": "b"})], False),
        ([("ask", 50, {"environment": "a"}), ("allow", 100, {})], True),
        ([("ask", 50, {"condition": "context.vip"}), ("allow", 100, {})], False),
        ([("ask", 50, {"currency": "USD"}), ("allow", 100, {"currency": "EUR"})], False),
        ([("ask", 50, {"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}), ("allow", 100, {})], False),
        ([("allow", 50, {}), ("allow", 50, {})], True),
    ],
)
def test_what_loosens_upwards_or_is_never_reached_is_warned_of(rows, warned):
    made = [
        Permission(action=f"stripe.refund.t{number}", effect=effect, max_amount=Decimal(top), **fields)
        for number, (effect, top, fields) in enumerate(rows)
    ]
    (ladder,) = a_board(made).ladders
    assert bool(ladder.warnings) is warned


def test_wildcards_stand_apart_and_are_warned_of():
    drawn = a_board([Permission(action="email.*", effect="allow"), Permission(action="email.send", effect="ask")])
    assert [ladder.action for ladder in drawn.singles] == ["email.send"]
    assert drawn.wildcards[0].warnings
    assert drawn.ladders == ()
