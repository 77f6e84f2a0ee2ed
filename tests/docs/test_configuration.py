"""docs/configuration.md: every variable that the code reads is there, with its default and bounds, and no other."""

import ast
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from accounts.models import Organization
from tests.docs.pages import ROOT, codes, table, tables

PAGE = "docs/configuration.md"
ABSENT, WORKED_OUT = object(), object()  # no default is given; only running the code would tell


class Read(NamedTuple):
    """One place that reads a variable: by which function of warden.env, with which arguments."""

    name: str
    function: str
    default: Any
    bounds: dict[str, Any]


def reads() -> list[Read]:
    """What warden/settings and warden/embedded read, from their source."""
    found = []
    for folder in ("settings", "embedded"):
        for file in sorted((ROOT / "warden" / folder).glob("*.py")):
            found += [each for node in ast.walk(ast.parse(file.read_text())) if (each := _read(node))]
    return found


def _read(node: ast.AST) -> Read | None:
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ" and isinstance(node.ctx, ast.Load):
        return Read(ast.literal_eval(node.slice), "environ", ABSENT, {})
    if not isinstance(node, ast.Call):
        return None
    called = ast.unparse(node.func)
    if not re.fullmatch(r"env\.\w+|os\.environ\.get|os\.getenv", called):
        return None
    if not node.args or not isinstance(node.args[0], ast.Constant) or not isinstance(node.args[0].value, str):
        return None  # a name worked out: environment() in run.py, which asks for those it sets
    values = [*map(_value, node.args), ABSENT]
    bounds = {word.arg: _value(word.value) for word in node.keywords if word.arg}
    default = bounds.pop("default", values[1])
    return Read(node.args[0].value, called.removeprefix("env."), default, bounds | {"choices": values[2:-1]})


def _value(node: ast.expr) -> Any:
    """The value of an expression of constants; WORKED_OUT where it has others."""
    try:
        return eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}})
    except NameError:
        return WORKED_OUT


def documented() -> dict[str, dict[str, str]]:
    return {row["variable"]: row for rows in tables(PAGE) if "variable" in rows[0] for row in rows}


def test_every_variable_is_documented_and_no_other() -> None:
    assert sorted(documented()) == sorted({each.name for each in reads()})


@pytest.mark.parametrize(
    "read", [each for each in reads() if each.function in ("integer", "choice", "boolean")], ids=lambda read: read.name
)
def test_a_default_and_its_bounds_are_as_documented(read: Read) -> None:
    row = documented()[read.name]
    if read.function == "boolean":
        assert row["default"] == str(read.default).lower()
    elif read.function == "choice":
        assert row["default"] == read.default
        assert codes(row["allowed"]) == list(read.bounds["choices"][0])
    else:
        assert row["default"] == str(read.default)
        assert codes(row["allowed"]) == [str(read.bounds["low"]), str(read.bounds["high"])]


def test_what_is_required_is_said_to_be() -> None:
    required = {each.name for each in reads() if each.function in ("text", "url") and each.default in (None, ABSENT)}
    said = {name for name, row in documented().items() if re.match(r"required($| with)", row["default"])}
    assert said == required


def test_every_check_of_production_is_documented() -> None:
    source = (ROOT / "warden/checks.py").read_text()
    known = set(re.findall(r'id="(warden\.E\d+)"', source))
    assert {row["id"] for row in table(PAGE, "id", "refused")} == known


def test_the_settings_of_an_organization() -> None:
    said = {row["setting"]: row for row in table(PAGE, "setting")}
    fresh = Organization()
    assert codes(said["environments"]["default"]) == fresh.environments
    assert said["cool-down"]["default"] == f"{fresh.cooldown_seconds:,} seconds"
    assert said["claim"]["default"] == f"{fresh.claim_seconds:,} seconds"


def test_no_other_page_names_a_variable_that_does_not_exist() -> None:
    families = re.compile(r"`((?:GATEWAY|EMAIL|OIDC|DATABASE|REDIS|SECRET|SITE|WARDEN|TRUSTED)_[A-Z_]+)`")
    pages = [Path(ROOT, "README.md"), Path(ROOT, "CONTRIBUTING.md"), *sorted(Path(ROOT, "docs").rglob("*.md"))]
    named = {name.removesuffix("_FILE") for page in pages for name in families.findall(page.read_text())}
    assert named <= documented().keys()
