"""What an auditor pastes into the search for an identifier."""

import re
import uuid
from pathlib import Path

from agents.services.writing import PREFIXES
from audit.filters import EVENTS, TARGETS, meanings
from audit.ids import show_id

REPOSITORY = Path(__file__).parents[2]
ROOMS = ("accounts", "agents", "approvals", "gateway", "notifications", "warden")
UNTOLD = {"cmt"}  # comments: events about them name their request


def test_a_bare_uuid_may_be_whatever_events_are_about():
    shown = {
        prefix
        for room in ROOMS
        for source in (REPOSITORY / room).rglob("*.py")
        for prefix in re.findall(r'show_id\(\s*"([a-z]+)"', source.read_text())
    }
    kept = {prefix for _, prefix in PREFIXES.values()}
    assert shown | kept <= {*EVENTS, *TARGETS} | UNTOLD
    number = uuid.uuid4()
    targets, ids = meanings(str(number))
    assert {show_id(prefix, number) for prefix in TARGETS} <= set(targets)
    assert ids == (number,)
