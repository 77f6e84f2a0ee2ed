"""Tables that list what code defines say what the code says."""

from approvals import states
from tests.docs.pages import codes, table


def test_the_states_and_their_moves() -> None:
    rows = table("docs/concepts.md", "state", "shown as")
    assert [(row["state"], row["shown as"]) for row in rows] == list(states.STATES.items())
    assert {row["state"]: frozenset(codes(row["can become"])) for row in rows} == states.MOVES
