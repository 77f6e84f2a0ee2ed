"""What is kept covered: withheld or encrypted, the same each time, and never to be guessed without its key."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import canonical
from audit.sealing import MARK, Key, Rule, marked_as_erased, marks, reveal, seal, subjects

ACME = uuid.UUID(int=1)
ANN = Key(uuid.UUID(int=7), b"a" * 64)
BOB = Key(uuid.UUID(int=8), b"b" * 64)
NOBODY = Key(uuid.UUID(int=9), b"n" * 64)
KEYS = {"cus_1": ANN, "cus_2": BOB, "": NOBODY}
EMAIL = Rule(("customer", "email"), "encrypt", ("customer", "id"))
CONTEXT = {"amount": 20, "customer": {"id": "cus_1", "email": "ann@example.com", "vip": False}}


def sealed(*rules: Rule, context: dict = CONTEXT) -> dict:
    return seal(ACME, rules, context, KEYS)


def test_only_the_value_that_a_rule_names_is_covered_and_its_key_brings_it_back() -> None:
    stored = sealed(EMAIL)
    assert "ann@example.com" not in json.dumps(stored)
    assert {**stored, "customer": {**stored["customer"], "email": "ann@example.com"}} == CONTEXT
    assert reveal(ACME, stored, {ANN.id: ANN}) == CONTEXT
    assert CONTEXT["customer"] == {"id": "cus_1", "email": "ann@example.com", "vip": False}, "what was asked stays"


def test_the_same_request_is_stored_the_same_so_that_it_has_one_digest() -> None:
    assert canonical(sealed(EMAIL)) == canonical(sealed(EMAIL))
    other = {**CONTEXT, "customer": {**CONTEXT["customer"], "email": "eve@example.com"}}
    assert canonical(sealed(EMAIL)) != canonical(sealed(EMAIL, context=other))


def test_what_is_withheld_still_tells_one_request_from_another() -> None:
    rule = Rule(("iban",), "redact")
    one, other = (sealed(rule, context={"iban": iban}) for iban in ("DE1", "DE2"))
    assert one != other
    assert reveal(ACME, one, {NOBODY.id: NOBODY}) == {"iban": {MARK: "withheld"}}


def test_without_its_key_nobody_can_try_all_values_there_can_be() -> None:
    rules = [Rule(("vip",), "encrypt", ("id",)), Rule(("tier",), "redact", ("id",))]
    context = {"id": "cus_1", "vip": False, "tier": 3}
    kept = canonical(sealed(*rules, context=context))
    elsewhere = Key(ANN.id, b"c" * 64)
    for vip in (True, False):
        for tier in range(10):
            guess = seal(ACME, rules, {"id": "cus_1", "vip": vip, "tier": tier}, {"cus_1": elsewhere})
            assert canonical(guess) != kept


def test_an_erased_subject_is_unreadable_and_another_is_not() -> None:
    rule = Rule(("people", "*", "email"), "encrypt", ("owner",))
    stored = [sealed(rule, context={"owner": who, "people": [{"email": f"{who}@x"}]}) for who in ("cus_1", "cus_2")]
    shown = reveal(ACME, stored[0], {BOB.id: BOB})
    assert shown["people"] == [{"email": {MARK: "erased"}}]
    assert reveal(ACME, stored[1], {BOB.id: BOB})["people"] == [{"email": "cus_2@x"}]
    assert list(marks(marked_as_erased(stored[0], set()))) == [("people.0.email", "erased")]


def test_a_ciphertext_that_was_moved_opens_nowhere_else() -> None:
    stored = sealed(EMAIL)
    moved = {"note": stored["customer"]["email"]}
    assert reveal(ACME, moved, {ANN.id: ANN}) == {"note": {MARK: "erased"}}
    assert reveal(uuid.UUID(int=2), stored, {ANN.id: ANN})["customer"]["email"] == {MARK: "erased"}


@pytest.mark.parametrize("whose", [None, {}, True, 1.5, ["cus_1"]])
def test_what_is_nobodys_is_withheld_rather_than_encrypted_for_nobody(whose: object) -> None:
    context = {"customer": {"id": whose, "email": "ann@example.com"}}
    assert subjects([EMAIL], context) == {""}
    assert list(marks(sealed(EMAIL, context=context))) == [("customer.email", "withheld")]


def test_rules_that_meet_cover_each_value_once_and_what_is_withheld_stays_so() -> None:
    whole, part = Rule(("customer",), "encrypt", ("customer", "id")), Rule(("customer", "email"), "redact")
    stored = seal(ACME, [EMAIL, whole, part], CONTEXT, KEYS)
    assert [kind for _, kind in marks(stored)] == ["encrypted"]
    shown = reveal(ACME, stored, {ANN.id: ANN})
    assert shown["customer"] == {"id": "cus_1", "email": {MARK: "withheld"}, "vip": False}


def test_nothing_is_to_be_done_where_no_rule_meets_a_field() -> None:
    assert subjects([EMAIL], {"amount": 1}) == set()
    assert sealed(EMAIL, context={"amount": 1}) == {"amount": 1}


def test_lengths_that_differ_a_little_look_alike() -> None:
    yes, no = (sealed(EMAIL, context={"customer": {"id": "cus_1", "email": text}}) for text in ("yes", "no"))
    assert len(canonical(yes)) == len(canonical(no))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
PATHS = st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=3).map(lambda path: ("d", *path))


@given(VALUES, st.lists(st.tuples(PATHS, st.sampled_from(["encrypt"])), max_size=4))
def test_whatever_is_encrypted_comes_back_exactly(value: object, covered: list[tuple[tuple[str, ...], str]]) -> None:
    rules = [Rule(path, "encrypt", ("id",)) for path, _ in covered]
    context = {"id": "cus_1", "d": value}
    stored = seal(ACME, rules, context, KEYS)
    assert reveal(ACME, stored, {ANN.id: ANN}) == context
    assert (stored == context) == (subjects(rules, context) == set())
