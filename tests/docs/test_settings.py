"""docs/settings.md: every field that can be set is there once, and so is the test that proves it.

That each test fails where a field is without effect: script/plant_faults, and tests/approvals/test_faults.py.
"""

import ast
import dataclasses

import pytest
from msgspec import structs

from accounts.forms.absence import AbsenceForm
from accounts.services.organizations import CHANGEABLE
from agents.policy.budgets import NAMES
from approvals.stops.forms import StopForm
from approvals.terms import Terms
from tests.docs.pages import ROOT, codes, table, tables
from warden.api.bodies import ChangeAgent, ChangePermission, NewKey

PAGE = "docs/settings.md"
PROVED = "proved by"


def fields(body: type) -> set[str]:
    return {field.name for field in structs.fields(body)}


FIELDS = {
    "of a tier": fields(ChangePermission) - {"requires_approval"},  # another word for the effect
    "of an agent": fields(ChangeAgent),
    "of a budget": set(NAMES),
    "of a grant": {field.name for field in dataclasses.fields(Terms)},
    "of the organization": {*CHANGEABLE, "single_operator"},
    "of an absence": {*AbsenceForm.base_fields, "delegates"},  # whom one may choose depends on the organization
    "of a stop": set(StopForm.base_fields),
    "of a key": fields(NewKey),
}
ROWS = [(next(iter(row)), row) for rows in tables(PAGE) for row in rows]


def test_every_table_is_compared() -> None:
    assert {kind for kind, _ in ROWS} == FIELDS.keys()


@pytest.mark.parametrize("kind", FIELDS)
def test_every_field_is_explained_once(kind: str) -> None:
    assert sorted(row[kind] for row in table(PAGE, kind, "enforces")) == sorted(FIELDS[kind])


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=[f"{kind}: {row[kind]}" for kind, row in ROWS])
def test_it_is_proved_or_says_that_it_enforces_nothing(kind: str, row: dict[str, str]) -> None:
    named = codes(row[PROVED])
    assert bool(named) is not row["enforces"].startswith("nothing:")
    for file, _, test in (each.partition("::") for each in named):
        tree = ast.parse((ROOT / file).read_text())
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, row[kind]
