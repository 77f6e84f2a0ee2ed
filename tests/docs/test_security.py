"""docs/security.md: every promise names places and tests that exist."""

import re

import pytest

from tests.docs.pages import ROOT, read

PROMISES = re.findall(r"^\*\*(I\d+)\. (.*?)(?=\n\n)", read("docs/security.md"), re.M | re.S)


def test_there_are_twelve() -> None:
    assert [name for name, _ in PROMISES] == [f"I{number}" for number in range(1, 13)]


@pytest.mark.parametrize(("name", "text"), PROMISES, ids=[name for name, _ in PROMISES])
def test_a_promise_names_where_it_is_kept_and_what_shows_it(name: str, text: str) -> None:
    places = re.findall(r"`([a-z_/0-9]+\.py)`", text)
    tests = re.findall(r"`([a-z_/0-9]+\.py)::(test_\w+)`", text)
    assert places
    assert tests
    assert [place for place in places if not (ROOT / place).is_file()] == []
    missing = [test for file, test in tests if not re.search(rf"^\s*(?:async )?def {test}\(", read(file), re.M)]
    assert missing == []
