"""Our canonical JSON is RFC 8785, also where Python's own encoder writes it."""

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.canonical import canonical, read_canonical

text = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5),
    max_leaves=30,
)


@settings(max_examples=600, deadline=None)
@given(values)
def test_any_json_is_written_as_rfc_8785_says(value):
    assert canonical(value).encode() == rfc8785.dumps(value)
    assert canonical(read_canonical(canonical(value))) == canonical(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_is_written_as_rfc_8785_says(value):
    assert canonical([value]).encode() == rfc8785.dumps([value])


def test_keys_sort_by_utf_16_units_and_not_by_code_points():
    assert canonical({"\ufb33": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ufb33":1}'  # RFC 8785, 3.2.3


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (5.0, "5"),
        (-0.0, "0"),
        (333333333.33333329, "333333333.3333333"),
        ('\u20ac$\u000f\nA\'B"\\\\"/', '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),
        ("\x7f\u2028", '"\x7f\u2028"'),
        ({"b": [], "a": {}}, '{"a":{},"b":[]}'),
        ((1, 2), "[1,2]"),
    ],
)
def test_known_values(value, written):
    assert canonical(value) == written


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53, -(2**53), "\ud800", {"\udfff": 1}, {1: 2}, {"a": {1, 2}}, b"x"]
)
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(ValueError, match="no canonical JSON"):
        canonical(value)
