"""Identifiers sort by time, read back, and refuse what is none."""

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.ids import new_id, read_id, show_id


def test_ids_are_uuids_of_version_7_in_the_order_they_were_made():
    before = time.time_ns() // 1_000_000
    made = [new_id() for _ in range(2_000)]
    after = time.time_ns() // 1_000_000
    assert all(each.version == 7 and each.variant == uuid.RFC_4122 for each in made)
    assert all(before <= each.int >> 80 <= after for each in made)
    assert len(set(made)) == len(made)
    # Two within one step of the clock may change places; what takes a microsecond may not.
    slower = []
    for _ in range(200):
        slower.append(new_id())
        until = time.perf_counter_ns() + 2_000
        while time.perf_counter_ns() < until:
            pass
    assert slower == sorted(slower)


@given(st.uuids())
def test_ids_read_back(value):
    shown = show_id("apr", value)
    assert len(shown) == 30
    assert read_id("apr", shown) == value
    assert read_id("apr", "apr_" + shown[4:].lower()) == value
    assert read_id("apr", str(value)) == value
    assert read_id("evt", shown) is None


@given(st.uuids(), st.uuids())
def test_shown_ids_sort_like_the_ids(one, other):
    assert (show_id("evt", one) < show_id("evt", other)) == (one < other)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_never_an_error(text):
    for given_ in (text, f"apr_{text}"):
        assert read_id("apr", given_) is None or isinstance(read_id("apr", given_), uuid.UUID)


@pytest.mark.parametrize("text", ["", "apr_", "apr_" + "Z" * 26, "apr_" + "0" * 25 + "I", "apr_" + "0" * 25, "x" * 36])
def test_what_is_no_id_is_none(text):
    assert read_id("apr", text) is None
