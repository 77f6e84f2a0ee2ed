"""Tables that list what code defines say what the code says."""

import inspect
import re
import shlex

import pytest
from django.core.management import get_commands, load_command_class
from django.template.loader import render_to_string

from accounts import roles
from accounts.models import SCOPES
from agents.policy.budgets import NAMES
from approvals import states
from approvals.digest import digest
from approvals.inbox import VIEWS
from tests.bench.__main__ import BARS
from tests.docs.pages import DOCS, ROOT, codes, read, table

ROOMS = {"audit", "accounts", "agents", "notifications", "approvals", "gateway", "warden"}


def test_the_states_and_their_moves() -> None:
    rows = table("docs/concepts.md", "state", "shown as")
    assert [(row["state"], row["shown as"]) for row in rows] == list(states.STATES.items())
    assert {row["state"]: frozenset(codes(row["can become"])) for row in rows} == states.MOVES


def test_the_digest_is_over_what_the_page_says() -> None:
    [said] = re.findall(r"what an approval is about: ([^.]*)\.", read("docs/concepts.md").replace("\n", " "))
    parts = [name.removesuffix("_id") for name in inspect.signature(digest).parameters]
    assert re.split(r", | and ", said) == parts


def test_the_roles_and_what_they_may() -> None:
    rows = table("docs/admin.md", "role", "in short")
    assert [(row["role"], row["in short"]) for row in rows] == list(roles.DESCRIPTIONS.items())
    assert {row["role"]: set(codes(row["may"])) for row in rows} == roles.MAY


def test_the_findings_of_a_review() -> None:
    source = "".join((ROOT / "agents" / name).read_text() for name in ("review.py", "policy/describe.py"))
    known = set(re.findall(r'(?:Finding|Flag)\(\s*"([a-z_]+)"', source))
    assert {codes(row["finding"])[0] for row in table("docs/review.md", "finding")} == known


def test_the_scopes_of_access_tokens() -> None:
    assert {row["scope"]: row["allows to"] for row in table("docs/admin.md", "scope")} == SCOPES


def test_the_limits_of_a_budget() -> None:
    assert [row["limit"].strip("`") for row in table("docs/budgets.md", "limit")] == list(NAMES)


def test_the_views_of_the_inbox() -> None:
    assert [row["view"] for row in table("docs/approvers.md", "view")] == list(VIEWS.values())


def test_why_a_decision_is_refused() -> None:
    source = (ROOT / "approvals/rules.py").read_text()
    known = set(re.findall(r'raise \w+\([^\n]*"(\w+)"\)', source))
    named = set(
        re.findall(r"`([a-z_]+)`", read("docs/approvers.md").partition("## Why the buttons")[2].partition("## Keys")[0])
    )
    assert named == known


def test_the_keys_are_those_of_the_dialog() -> None:
    dialog = re.findall(r"<dt>(.*?)</dt>", render_to_string("_keys_dialog.html"))
    assert [codes(row["key"]) for row in table("docs/approvers.md", "key")] == [
        re.findall(r"<kbd>(.*?)</kbd>", keys) for keys in dialog
    ]


def test_every_command_is_listed() -> None:
    ours = {name for name, app in get_commands().items() if app in ROOMS}
    assert {name for row in table("docs/admin.md", "about", "commands") for name in codes(row["commands"])} == ours


PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{file.name}" for file in sorted(DOCS.glob("*.md")))]
SHOWN = [(page, words.strip()) for page in PAGES for words in re.findall(r"script/manage ([a-z][^`\n<)]+)", read(page))]


@pytest.mark.parametrize(("page", "words"), SHOWN)
def test_a_command_that_a_page_shows_can_be_read(page: str, words: str) -> None:
    name, *arguments = shlex.split(words)
    command = load_command_class(get_commands()[name], name)
    command.create_parser("manage.py", name).parse_args(arguments)


def test_every_line_of_the_log_that_is_explained_exists() -> None:
    source = "\n".join(file.read_text() for room in sorted(ROOMS) for file in (ROOT / room).rglob("*.py"))
    known = set(re.findall(r'\blog\.(?:info|warning|error|exception)\(\s*"([^"]+)"', source))
    assert {line for row in table("docs/operating.md", "line") for line in codes(row["line"])} <= known


def test_the_servers_are_started_as_the_page_says() -> None:
    source = (ROOT / "warden/embedded/run.py").read_text()
    [shown] = re.findall(r"`?script/run` starts:\n\n((?:    .*\n)+)", read("docs/operating.md"))
    assert [flag for flag in re.findall(r"--[a-z-]+", shown) if f'"{flag}"' not in source] == []


def test_every_figure_of_the_bench_is_one_that_it_writes() -> None:
    source = "\n".join(file.read_text() for file in (ROOT / "tests/bench").glob("*.py"))
    for row in table("docs/performance.md", "figure"):
        group, name = codes(row["figure"])[0].split(".")
        assert f'"{group}"' in source
        assert f'"{name}"' in source or re.fullmatch(r"(allow|deny|ask)_c(1|32|128)", name)


@pytest.mark.parametrize("name", ["allow_c128", "allow_c32", "ask_c128", "sequenced_c32"])
def test_the_bars_are_those_of_the_bench(name: str) -> None:
    [bar] = [float(row["bar"]) for row in table("docs/performance.md", "figure") if f"ratios.{name}`" in row["figure"]]
    assert bar == BARS[name]
