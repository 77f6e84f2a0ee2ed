"""Every kind of event that the rooms write has a sentence, and an unknown one is still told."""

import re
from dataclasses import dataclass
from pathlib import Path

import lucide
import pytest

from agents.services.writing import PREFIXES
from audit.sentences import SENTENCES, icon, tell

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ["audit", "accounts", "agents", "notifications", "approvals", "gateway", "warden"]
VERBS = re.compile(r'(?:verb=|_write\(\s*)"([a-z_]+)"')
TOLD = re.compile(r'(?:tell|_tell|tell_everywhere|_end|_told_of_login)\(\s*(?:[a-z_.]+,\s*)*"([a-z_]+:[a-z_]+)"')
WHOLE = re.compile(r'"((?:agent|person|system):[a-z_]+:[a-z_]+)"')


@dataclass
class Told:
    kind: str
    actor: str = "ann"
    agent: str = "bot"
    action: str = "a.b"
    target: str = "apr_A"
    result: str = "success"


def said(event: Told, **data: object) -> str:
    return "".join(part.text for part in tell(event, data))


def sources(room: str) -> list[str]:
    return [
        path.read_text()
        for path in (ROOT / room).rglob("*.py")
        if "migrations" not in path.parts and path.name != "sentences.py"
    ]


def test_every_kind_that_is_written_has_a_sentence():
    kinds = {kind for room in ROOMS for text in sources(room) for kind in WHOLE.findall(text)}
    # tell("member:add", …) records person:member:add or system:member:add.
    kinds |= {f"person:{what}" for room in ROOMS for text in sources(room) for what in TOLD.findall(text)}
    channels = (ROOT / "notifications/services/channels.py").read_text()
    kinds |= {f"person:channel:{verb}" for verb in re.findall(r'_tell\(\s*"([a-z_]+)"', channels)}
    # write_event(verb="create", row=…) records person:agent:create, and so on for what the module changes.
    for path in (ROOT / "agents/services").glob("*.py"):
        subject = {name for name, _ in PREFIXES.values()} & {path.stem.removesuffix("s")}
        kinds |= {f"person:{each}:{verb}" for each in subject for verb in VERBS.findall(path.read_text())}
    assert {"agent:check:allow", "person:member:add", "person:key:roll", "person:session:login"} <= kinds
    assert sorted(kinds - SENTENCES.keys()) == []


def test_every_sentence_has_an_icon_and_no_sentence_is_empty():
    for kind, told in SENTENCES.items():
        assert lucide._render_icon(told.icon, None)
        assert icon(kind) == told.icon
        assert said(Told(kind))


@pytest.mark.parametrize(
    ("event", "data", "words"),
    [
        (Told("agent:check:deny"), {"reason": "Too much"}, "bot was refused a.b: Too much"),
        (Told("agent:check:deny"), {}, "bot was refused a.b"),
        (Told("agent:action:log"), {}, "bot says that a.b came to: success"),
        (
            Told("person:member:role"),
            {"email": "b@x", "from": "viewer", "to": "admin"},
            "ann made b@x admin, who was viewer",
        ),
        (
            Told("person:permission:change"),
            {"after": {"max_amount": "5"}},
            "ann changed the tier a.b of bot: max amount",
        ),
        (
            Told("system:organization:change", actor=""),
            {"changes": {"name": {}}},
            "Warden changed the organization: name",
        ),
        (Told("person:team:members"), {"name": "T", "added": ["x", "y"]}, "ann changed the team T, added x, y"),
        (Told("person:rule:create"), {"after": {"name": "Two"}}, "ann created the approval rule Two"),
        (Told("system:alert:fire"), {"named": "Backlog"}, "The alert Backlog fired"),
        (Told("robot:thing:do_it"), {}, "ann: thing do it a.b"),
        (Told(""), {}, "ann:  a.b"),
    ],
)
def test_sentences(event, data, words):
    assert said(event, **data) == words


@pytest.mark.parametrize(
    "data", [{"after": "x"}, {"after": 5}, {"changes": None}, {"reason": {"a": [1]}}, {"reason": None}]
)
def test_odd_data_never_breaks_a_sentence(data):
    for kind in SENTENCES:
        assert said(Told(kind), **data)


def test_only_our_words_are_ours():
    hostile = Told("agent:check:deny", agent="<b>", action="<i>")
    assert [part.text for part in tell(hostile, {"reason": "<u>"}) if part.ours] == [" was refused ", ": "]
