"""What the README shows works."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import agentwarden
from agentwarden.testing import FakeWarden

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeWarden:
    fake = FakeWarden()
    fake.allow("stripe.refund", up_to=50)
    fake.ask("stripe.refund", up_to=1000, decide="approved")
    monkeypatch.setattr(agentwarden, "AgentWarden", lambda **options: fake.client(**options))
    return fake


def test_the_first_example_is_eight_lines_and_pays_what_was_approved(fake: FakeWarden) -> None:
    lines = [line for line in BLOCKS[0].splitlines() if line]
    assert len(lines) <= 8
    paid: list[Any] = []
    space: dict[str, Any] = {"payments": SimpleNamespace(refund=lambda *order: paid.append(order))}
    exec(BLOCKS[0], space)
    space["guard"].close()
    assert paid == [("ord_1042", 312.5)]
    assert [log.status for log in fake.logs] == ["success"]


def test_the_second_example_claims_and_logs(fake: FakeWarden) -> None:
    paid: list[Any] = []
    space = {"AgentWarden": fake.client, "refund": lambda order, amount: paid.append((order, amount))}
    exec(BLOCKS[1], space)
    assert paid == [("ord_1042", 312.5)]
    assert fake.claims == [fake.logs[0].approval_id]


def test_the_example_for_tests_passes() -> None:
    space: dict[str, Any] = {}
    exec(BLOCKS[2], space)
    space["test_a_large_refund_waits_for_a_person"]()


def test_every_error_is_in_the_table() -> None:
    assert [name for name in agentwarden.__all__ if name.endswith("Error") and f"`{name}`" not in README] == []
