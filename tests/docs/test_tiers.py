"""docs/tiers.md: every example is decided as it says, and every code is named."""

import json
import re
from datetime import datetime
from decimal import Decimal
from typing import get_args

import pytest

from agents.opa import gate
from agents.policy import Decision, Effect, Permission, Request, budgets, decide
from approvals import pending
from tests.agents.policies import NOW, policy_of
from tests.docs.pages import ROOT, codes, table, tables

PAGE = "docs/tiers.md"
ENVIRONMENTS = ["production", "staging", "development"]
Row = dict[str, str]


def permission(row: Row, number: int) -> Permission:
    effect = row["effect"]
    assert effect in get_args(Effect)
    return Permission(
        id=f"prm-{number}",
        action=row["permission"],
        effect=effect,  # type: ignore[arg-type]
        max_amount=Decimal(row["maximum"]) if row.get("maximum") else None,
        currency=row.get("currency") or None,
        environment=row.get("environment") or None,
        condition=row.get("condition", ""),
        expires_at=datetime.fromisoformat(row["expires"]) if row.get("expires") else None,
    )


def examples() -> list[tuple[list[Permission], Row]]:
    """Each line of an `asked` table with the permissions of the table before it."""
    found: list[tuple[list[Permission], Row]] = []
    granted: list[Permission] = []
    for rows in tables(PAGE):
        if "permission" in rows[0]:
            granted = [permission(row, number) for number, row in enumerate(rows)]
        elif "asked" in rows[0]:
            found += [(granted, row) for row in rows]
    return found


def _name(value: list[Permission] | Row) -> str:
    return f"{value['asked']} {value['with']}" if isinstance(value, dict) else f"{len(value)} permissions"


def decided(granted: list[Permission], row: Row) -> Decision:
    request = Request("bot", row["asked"], json.loads(row["with"]), row.get("key") or None)
    return decide(policy_of(*granted, environments=ENVIRONMENTS), request, NOW)


@pytest.mark.parametrize(("granted", "row"), examples(), ids=_name)
def test_an_example_is_decided_as_the_page_says(granted: list[Permission], row: Row) -> None:
    decision = decided(granted, row)
    said = decision.reason if decision.outcome == "deny" else decision.permission and decision.permission.action
    assert (decision.outcome, said) == (row["answer"], row["by, or why not"])


def test_the_codes_are_all_there_and_no_other() -> None:
    source = (ROOT / "agents/policy/decide.py").read_text()
    known = set(re.findall(r'(?:self\.answer|_refuse)\(\s*"(\w+)"', source))
    known |= {
        "agent_banned",
        "agent_suspended",
        "error",
        budgets.EXCEEDED,
        pending.TOO_MANY,
        *gate.REFUSALS,
    }  # these are put together, or given by position
    named = [code for row in table(PAGE, "code", "outcome") for code in codes(row["code"])]
    assert sorted(named) == sorted(known)


def test_the_examples_reach_every_code_that_depends_on_permissions() -> None:
    reached = {decided(granted, row).code for granted, row in examples()}
    named = {code for row in table(PAGE, "code", "outcome") for code in codes(row["code"])}
    # Of an organization's or an agent's standing, or of a fault: not a matter of permissions.
    standing = {
        "organization_paused",
        "agent_paused",
        "action_paused",
        "agent_suspended",
        "agent_banned",
        "callee_banned",
        "unknown_agent",
        "error",
        budgets.EXCEEDED,
        pending.TOO_MANY,
        *gate.REFUSALS,
    }
    assert named - reached == standing
