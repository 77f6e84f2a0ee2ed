"""What an agent is about to do, in one sentence."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.sentence import LONGEST, sentence


@pytest.mark.parametrize(
    ("action", "amount", "context", "words"),
    [
        ("stripe.refund", "500", {"customer_id": "cus_1"}, "refund $500.00 to cus_1"),
        ("stripe.refund.large", "500", {"customer_id": "cus_1"}, "refund $500.00 to cus_1"),
        ("stripe.refund.create", "500", {"customer": "cus_1"}, "refund $500.00 to cus_1"),
        ("stripe.refund.large", None, {"customer": "cus_1"}, "refund an amount it does not state to cus_1"),
        ("bank.payout", "500", {}, "pay out $500.00"),
        ("email.send", None, {"to": "jane@example.org"}, "send email to jane@example.org"),
        ("email.send", None, {"to": ["a@x.org", "b@x.org", "c@x.org"]}, "send email to a@x.org and 2 more"),
        ("zendesk.ticket.update", None, {"ticket_id": 4711}, "update zendesk ticket 4711"),
        ("deploy.production", None, {"service": "checkout"}, "deploy checkout to production"),
        ("deploy.production", None, {}, "deploy to production"),
        ("database.table.drop", None, {"table": "users"}, "drop database table users"),
        ("cloud.server.create", "120", {"name": "big"}, "create cloud server big for $500.00"),
        ("billing.reconciliation", None, {"id": "b-1"}, "run billing.reconciliation on b-1"),
        ("billing.large", None, {}, "run billing.large"),
        ("small.large", None, {"id": True}, "run small.large"),
    ],
)
def test_it_says_what_is_about_to_happen(action: str, amount: str | None, context: Any, words: str) -> None:
    assert sentence(action, Decimal(amount) if amount else None, context).plain("$500.00") == words


def test_a_long_value_is_cut_and_an_amount_never_is() -> None:
    said = sentence("stripe.refund", Decimal("1"), {"customer_id": "x" * 500})
    assert [part.text for part in said.parts if part.kind == "value"] == ["x" * LONGEST + "…"]
    amount = "$" + "9" * 200
    assert amount in said.plain(amount)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
_names = st.sampled_from(["to", "customer_id", "service", "ticket_id", "id", "name", "recipient"])


@given(
    action=st.text(min_size=1, max_size=60),
    amount=st.none() | st.decimals(allow_nan=False, allow_infinity=False),
    context=st.dictionaries(_names, _values),
)
def test_any_action_and_any_context_have_a_sentence(action: str, amount: Decimal | None, context: Any) -> None:
    said = sentence(action, amount, context)
    assert said.parts
    assert (amount is not None) == any(part.kind == "amount" for part in said.parts)
