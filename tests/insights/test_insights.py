"""What the insights page counts, against rows made by hand; and who sees it."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from audit.leaf import Actor, Entry
from audit.record import record_all
from tests.factories import a_member, an_agent, an_approval, an_organization
from warden import insights as page
from warden.charts import Series, bars, line
from warden.insights import insights
from warden.templatetags.insights import duration, seconds

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return an_organization("Acme")


@pytest.fixture
def bot(acme):
    return an_agent(acme, "support-bot")


def asked(bot, days: float, state="pending", after: float = 600, **fields):
    """A request made `days` before NOW, ended `after` seconds; its id carries its time, as a real one's does."""
    import uuid

    at = NOW - timedelta(days=days)
    identifier = uuid.UUID(int=int(at.timestamp() * 1000) << 80 | uuid.uuid4().int & (2**76 - 1))
    ended = {} if state == "pending" else {"decided_at": at + timedelta(seconds=after)}
    if state == "approved":
        ended["claim_until"] = at + timedelta(days=1)
    return an_approval(agent=bot, now=at, id=identifier, state=state, **ended, **fields)


def refused(organization, action, count=1, mode="live", days=0.0):
    actor = Actor("agent", "k", "support-bot")
    entries = [
        Entry("agent:check:deny", organization.id, mode, actor, action=action, result="deny") for _ in range(count)
    ]
    record_all(entries, at=NOW - timedelta(days=days))


def test_nothing_asked_is_an_empty_page(acme):
    found = insights(organization=acme, mode="live", days=30, now=NOW)
    assert found.empty
    assert (found.requests, found.rate, found.median, found.p90, found.waiting, found.oldest) == (
        0,
        None,
        None,
        None,
        0,
        None,
    )
    assert len(found.days) == 30
    assert found.days[-1].day == NOW.date()


def test_requests_are_counted_by_how_they_ended_on_the_day_they_were_made(acme, bot):
    for state, count in (("approved", 3), ("denied", 1), ("expired", 2), ("cancelled", 1)):
        for _ in range(count):
            asked(bot, 2, state)
    asked(bot, 0.01)
    asked(bot, 1, minutes=5)  # overdue, not swept yet
    asked(bot, 40, "approved")
    found = insights(organization=acme, mode="live", days=7, now=NOW)
    assert found.requests == 9
    assert found.days[-3].ends == {"approved": 3, "denied": 1, "expired": 2, "cancelled": 1, "pending": 0}
    assert found.days[-2].ends["expired"] == 1
    assert found.days[-1].ends["pending"] == 1
    assert found.rate == 75
    assert insights(organization=acme, mode="live", days=90, now=NOW).requests == 10


def test_time_to_decide_is_that_of_people_only(acme, bot):
    for after in (60, 120, 180, 240, 600):
        asked(bot, 1, "approved" if after < 200 else "denied", after)
    asked(bot, 1, "expired", 9_999)
    found = insights(organization=acme, mode="live", days=7, now=NOW)
    assert found.median == timedelta(seconds=180)
    assert found.p90 == timedelta(seconds=456)
    assert found.days[-2].median == 180
    assert found.days[-1].median is None


def test_the_backlog_is_what_waited_when_each_day_ended(acme, bot):
    asked(bot, 3, "approved", 2 * 86_400)  # waits over two midnights
    asked(bot, 20, "denied", 18 * 86_400)  # made before the range, ended within it
    asked(bot, 0.1, minutes=600)
    asked(bot, 2, minutes=60)  # overdue, unswept: over on the day its time was up
    found = insights(organization=acme, mode="live", days=7, now=NOW)
    assert [day.backlog for day in found.days] == [1, 1, 1, 2, 1, 0, 1]
    assert found.waiting == 1
    assert found.oldest == NOW - timedelta(days=0.1)


def test_denials_are_counted_by_action_and_by_whom(acme, bot):
    asked(bot, 1, "denied", action="deploy.production")
    asked(bot, 1, "denied", action="deploy.production")
    asked(bot, 1, "denied", action="data.export")
    refused(acme, "email.send", 4)
    refused(acme, "data.export", 2)
    refused(acme, "data.export", 9, days=8)
    refused(acme, "data.export", 9, mode="test")
    refused(acme, "")
    found = insights(organization=acme, mode="live", days=7, now=NOW)
    assert [(row.action, row.by_people, row.by_policy) for row in found.denied] == [
        ("email.send", 0, 4),
        ("data.export", 1, 2),
        ("deploy.production", 2, 0),
    ]


def test_busiest_agents_come_first(acme, bot):
    other = an_agent(acme, "devops-bot")
    for state in ("approved", "denied", "approved"):
        asked(bot, 1, state)
    asked(other, 1)
    found = insights(organization=acme, mode="live", days=7, now=NOW)
    assert [(row.agent, row.requests, row.approved, row.denied) for row in found.agents] == [
        ("support-bot", 3, 2, 1),
        ("devops-bot", 1, 0, 0),
    ]


def test_another_organization_and_the_other_mode_count_nothing(acme, bot):
    other = an_organization()
    asked(an_agent(other, "foreign-bot"), 1, "denied")
    refused(other, "email.send")
    asked(bot, 1, "denied", mode="test")
    assert insights(organization=acme, mode="live", days=7, now=NOW).empty
    assert insights(organization=acme, mode="test", days=7, now=NOW).requests == 1


def test_what_is_looked_at_is_bounded_and_the_page_says_so(acme, bot, monkeypatch):
    monkeypatch.setattr(page, "NEWEST", 3)
    for days in range(5):
        asked(bot, days + 0.5, "approved")
    found = insights(organization=acme, mode="live", days=7, now=NOW)
    assert found.cut
    assert found.requests == 3
    assert [day.total for day in found.days] == [0, 0, 0, 0, 1, 1, 1]


def enter(person) -> Client:
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.mark.parametrize("role", ["owner", "admin", "approver", "auditor", "viewer"])
def test_every_member_sees_the_page(acme, role):
    client = enter(a_member(acme, role))
    assert "Nothing was asked in these days" in client.get("/insights/").content.decode()


def test_the_page_draws_what_it_counts_and_no_style(acme):
    bot = an_agent(acme, "support-bot")
    for state in ("approved", "denied", "expired", "cancelled", "pending"):
        ended = {} if state == "pending" else {"decided_at": datetime.now(UTC)}
        ended |= {"claim_until": datetime.now(UTC) + timedelta(days=1)} if state == "approved" else {}
        an_approval(agent=bot, state=state, action="a.<b>\u202e", **ended)
    client = enter(a_member(acme, "viewer"))
    for days in ("7", "30", "90", "", "x", "-1", "1000"):
        answer = client.get("/insights/", {"days": days})
        assert answer.status_code == 200
    text = answer.content.decode()
    assert text.count("<svg") >= 4
    assert 'aria-label="Requests a day by how they ended' in text
    assert "The numbers as a table" in text
    assert "style=" not in text
    assert "a.<b>" not in text
    assert "⟨U+202E⟩" in text
    assert not re.search(r'(x|y|width|height)="[^"]*,', text)  # numbers of SVG have points, never commas


def test_a_stranger_sees_her_own_and_a_visitor_nothing(acme):
    an_approval(agent=an_agent(acme, "support-bot"))
    stranger = a_member(an_organization(), "owner")
    assert "support-bot" not in enter(stranger).get("/insights/").content.decode()
    assert Client().get("/insights/").status_code == 302


def test_bars_stack_to_their_total_under_a_round_top():
    made = bars(["a", "b"], [Series("approved", [3, 0]), Series("denied", [1, 7]), Series("expired", [0, 0])])
    assert made.top == 8
    assert made.names == ["approved", "denied"]
    assert [(part.name, part.y, part.height) for part in made.bars[0].parts] == [
        ("approved", 62.5, 37.5),
        ("denied", 50.0, 12.5),
    ]
    assert bars(["a"], [Series("approved", [0])]).top == 1
    assert [bars(["a"], [Series("x", [value])]).top for value in (1, 9, 11, 350, 4_001)] == [1, 10, 20, 400, 5_000]


def test_a_line_breaks_where_there_is_no_value():
    made = line(["a", "b", "c", "d", "e"], [1, 2, None, 4, None])
    assert made.pieces == ["5,75 17,50"]
    assert made.dots == [(41.0, 0.0)]
    assert line(["a"], [None]).pieces == []
    assert line(["a", "b"], [0, 0]).pieces == ["5,100 17,100"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (42, "42 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7_920, "2 h 12 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_in_words(value, words):
    assert seconds(value) == duration(timedelta(seconds=value)) == words
