"""Pages of the record: whole, in order, stable while rows are added, and of one organization and mode only."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import queries
from audit.ids import read_id, show_id
from audit.leaf import Actor, Entry
from audit.models import Event
from audit.names import names
from audit.queries import Search, find
from audit.record import record_all

ACME, OTHER = uuid.uuid4(), uuid.uuid4()
START = datetime(2026, 3, 1, tzinfo=UTC)
BOT, ANN, WARDEN = Actor("agent", "k", "bot"), Actor("person", "a", "ann@example.com"), Actor("system", "", "Warden")


def write(kind: str = "agent:check:allow", seconds: float = 0, count: int = 1, **fields: object) -> list[uuid.UUID]:
    """Writes events that share one moment, as one commit of the gateway does."""
    defaults = {"organization_id": ACME, "mode": "live", "actor": BOT, "agent": "bot", "action": "a.b"}
    entries = [Entry(kind=kind, **(defaults | fields)) for _ in range(count)]  # type: ignore[arg-type]
    record_all(entries, at=START + timedelta(seconds=seconds))
    return [entry.id for entry in entries]


def ids(page: queries.Page) -> list[uuid.UUID]:
    return [event.id for event in page.events]


def walk_pages(organization_id: uuid.UUID, search: Search, size: int) -> list[uuid.UUID]:
    found: list[uuid.UUID] = []
    page = find(organization_id, search, size=size)
    while True:
        found += ids(page)
        if page.next_cursor is None:
            return found
        page = find(organization_id, search, size=size, after=read_id("evt", page.next_cursor))


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moments=st.lists(st.integers(0, 6), min_size=0, max_size=24),
    modes=st.lists(st.sampled_from(["live", "test", ""]), min_size=24, max_size=24),
    size=st.integers(1, 7),
)
def test_pages_hold_every_event_once_newest_first_even_where_many_share_a_moment(moments, modes, size):
    organization = uuid.uuid4()
    for moment, mode in zip(moments, modes, strict=False):
        write(seconds=moment, mode=mode, organization_id=organization)
    mine = Event.objects.filter(organization_id=organization).exclude(mode="test")
    expected = [event.id for event in sorted(mine, key=lambda event: (event.at, event.id), reverse=True)]
    live = Search("live")
    assert walk_pages(organization, live, size) == expected
    assert [event.id for events in queries.walk(organization, live, size=size) for event in events] == expected
    for offset in range(0, len(expected), 3):
        skipped = queries.skip(organization, live, offset=offset, size=size)
        assert [event.id for event in skipped] == expected[offset : offset + size]


def test_rows_that_are_added_move_no_row_to_another_page(db):
    for second in range(9):
        write(seconds=second)
    first = find(ACME, Search("live"), size=3)
    second = find(ACME, Search("live"), size=3, after=read_id("evt", first.next_cursor))
    write(seconds=100, count=5)
    assert ids(find(ACME, Search("live"), size=3, after=read_id("evt", first.next_cursor))) == ids(second)
    back = find(ACME, Search("live"), size=3, before=read_id("evt", second.previous_cursor))
    assert ids(back) == ids(first)
    assert back.previous_cursor  # there is newer now
    assert back.next_cursor
    newest = find(ACME, Search("live"), size=50)
    assert newest.previous_cursor is newest.next_cursor is None


def test_an_unknown_cursor_shows_the_newest_page(db):
    write(count=2)
    assert len(find(ACME, Search("live"), after=uuid.uuid4()).events) == 2
    foreign = write(organization_id=OTHER)[0]
    assert len(find(ACME, Search("live"), after=foreign).events) == 2


def test_another_organization_and_the_other_mode_are_not_there(db):
    live, test, both = write()[0], write(mode="test")[0], write("person:member:add", mode="")[0]
    foreign = write(organization_id=OTHER)[0]
    assert set(ids(find(ACME, Search("live")))) == {live, both}
    assert set(ids(find(ACME, Search("test")))) == {test, both}
    assert queries.get(ACME, live, "live")
    assert queries.get(ACME, both, "test")
    assert queries.get(ACME, live, "test") is None
    assert queries.get(ACME, foreign, "live") is None
    assert queries.trail(OTHER, "apr_1") == []


def test_each_filter_finds_its_own_and_nothing_else(db):
    asked = write("agent:check:ask", 1, result="ask", action="stripe.refund.large", target="apr_A")[0]
    small = write("agent:check:allow", 2, result="allow", action="stripe.refund.small")[0]
    alike = write(
        "agent:check:deny", 3, result="deny", action="stripe.refunds", agent="bob", actor=Actor("agent", "k", "bob")
    )[0]
    voted = write(
        "person:review:approve", 4, result="approve", actor=ANN, action="stripe.refund.large", target="apr_A"
    )[0]
    ended = write("system:approval:expired", 5, result="expired", actor=WARDEN, target="apr_B")[0]
    logged = write("agent:action:log", 6, result="success", target=show_id("dec", small))[0]

    def found(**filters: object) -> set[uuid.UUID]:
        return set(ids(find(ACME, Search("live", **filters))))  # type: ignore[arg-type]

    assert found(agent="bob") == {alike}
    assert found(action="stripe.refund") == {asked, small, voted}
    assert found(action="stripe") == {asked, small, alike, voted}
    assert found(action="stripe.refund", exact=True) == set()
    assert found(action="stripe.refund.small", exact=True) == {small}
    assert found(action="a.b") == {ended, logged}
    assert found(kind="agent:check") == {asked, small, alike}
    assert found(kind="agent") == {asked, small, alike, logged}
    assert found(kind="person") == {voted}
    assert found(kind="agent:check:deny") == {alike}
    assert found(result="ask") == {asked}
    assert found(actor="Ann@Example.com") == {voted}
    assert found(actor="Warden") == {ended}
    assert found(actor="bob") == {alike}
    assert found(actor="bot") == {asked, small, logged}
    assert found(targets=("apr_A",)) == {asked, voted}
    assert found(ids=(small,), targets=(show_id("dec", small),)) == {small, logged}
    assert found(targets=("",)) == set()
    assert found(since=START + timedelta(seconds=5)) == {ended, logged}
    assert found(until=START + timedelta(seconds=1)) == {asked}
    assert found(actor="ann@example.com", action="stripe", result="approve", kind="person:review") == {voted}
    assert found(agent="bob", result="ask") == set()


def test_more_names_than_can_be_followed_one_by_one_are_still_all_found(db):
    everything = {write(action=f"many.names.n{number}", seconds=number)[0] for number in range(queries.BRANCHES + 5)}
    write(action="other.name")
    assert set(walk_pages(ACME, Search("live", action="many"), 50)) == everything


def test_a_trail_holds_what_happened_to_one_thing_newest_first(db):
    check = write(seconds=1)[0]
    write("agent:action:log", 2, target=show_id("dec", check))
    write("person:approval:approved", 3, actor=ANN, target="apr_A")
    assert [event.kind for event in queries.trail(ACME, show_id("dec", check))] == [
        "agent:action:log",
        "agent:check:allow",
    ]
    both = queries.trail(ACME, "apr_A", show_id("dec", check))
    assert both[0].kind == "person:approval:approved"
    assert len(both) == 3
    asked = write("agent:check:ask", 4, target="apr_A")[0]
    assert len(queries.trail(ACME, "apr_A", show_id("dec", asked))) == 2  # it is found by both, and told once
    assert queries.trail(ACME, "") == []
    assert [event.kind for event in queries.trail(ACME, "apr_A", but=["agent:check:ask"])] == [
        "person:approval:approved"
    ]


def test_long_bodies_are_left_behind_in_lists(db, django_assert_num_queries):
    write(data={"reason": "x" * queries.BRIEF})
    write(data={"reason": "short"}, seconds=1, kind="agent:check:deny")
    short, long = find(ACME, Search("live")).events
    with django_assert_num_queries(0):
        assert "".join(part.text for part in short.sentence) == "bot was refused a.b: short"
        assert "".join(part.text for part in long.sentence) == "bot was allowed a.b"


def test_names_are_distinct_sorted_and_below(db):
    for action in ("b.c", "a.b", "a.b", "a.c", "a_b.c"):
        write(action=action)
    write(action="z.test", mode="test")
    assert names(ACME, "live", "action") == ["a.b", "a.c", "a_b.c", "b.c"]
    assert names(ACME, "live", "action", "a.") == ["a.b", "a.c"]
    assert names(ACME, "test", "action") == ["z.test"]
    assert names(OTHER, "live", "agent") == []
