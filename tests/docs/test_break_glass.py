"""docs/break-glass.md: what it says holds has a test that proves it."""

import ast

import pytest

from tests.docs.pages import ROOT, codes, table


@pytest.mark.parametrize("row", table("docs/break-glass.md", "what holds"), ids=lambda row: row["what holds"][:40])
def test_the_test_that_proves_it_exists(row: dict[str, str]) -> None:
    for named in codes(row["proved by"]):
        file, _, test = named.partition("::")
        tree = ast.parse((ROOT / file).read_text())
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, named
