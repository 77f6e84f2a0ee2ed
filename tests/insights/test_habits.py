"""How people decide: their times and their approvals in a row, against votes made by hand; and who sees it."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from agents.models import Agent
from approvals.models import Review
from tests.factories import a_member, an_agent, an_approval, an_organization
from warden.habits import STREAK, Habit, Vote, habits, habits_of

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def voted(
    agent: Agent, who: User, verdict: str = "approve", *, days: float = 1, took: float = 60, **fields: Any
) -> None:
    """A vote of somebody, so many days before NOW, on a request made so many seconds before it."""
    at = NOW - timedelta(days=days)
    made = at - timedelta(seconds=took)
    number = uuid.UUID(int=int(made.timestamp() * 1000) << 80 | uuid.uuid4().int & (2**76 - 1))
    approval = an_approval(agent=agent, now=made, id=number, **fields)
    Review.objects.create(
        approval=approval, user=who, verdict=verdict, digest=approval.digest, via="browser", created_at=at
    )


def test_times_and_runs_are_each_persons_own() -> None:
    ann = [
        Vote("ann", approves=word, took=seconds * SECOND)
        for word, seconds in [(True, 5), (True, 9), (False, 60), (True, 100)]
    ]
    bob = [Vote("bob", approves=False, took=3 * SECOND)]
    assert list(habits_of([*ann, *bob])) == [
        Habit("ann", 4, 3, 34.5 * SECOND, 5 * SECOND, quick=2, longest=2, running=1),
        Habit("bob", 1, 0, 3 * SECOND, 3 * SECOND, quick=0, longest=0, running=0),
    ]
    assert list(habits_of([])) == []


@pytest.mark.parametrize(("last", "marked"), [(True, True), (False, False)])
def test_who_approves_everything_is_marked_until_they_say_no(last: bool, marked: bool) -> None:
    said = [Vote("ann", approves=True, took=SECOND)] * (STREAK - 1) + [Vote("ann", approves=last, took=SECOND)]
    (ann,) = habits_of(said)
    assert ann.approves_everything is marked


@pytest.mark.django_db
def test_only_votes_of_the_period_the_organization_and_the_mode_count() -> None:
    acme, other = an_organization(), an_organization()
    ann, bob = a_member(acme, "approver"), a_member(acme, "admin")
    bot = an_agent(acme)
    for days in (1, 2, 3):
        voted(bot, ann, days=days, took=30)
    voted(bot, bob, "deny", took=120, frozen_for=timedelta(seconds=100))  # what stood still is nobody's delay
    voted(bot, ann, "deny", days=8)
    voted(bot, ann, mode="test")
    voted(an_agent(other), ann)
    found = habits(organization=acme, mode="live", days=7, now=NOW).people
    assert [(each.email, each.votes, each.approvals, each.running) for each in found] == [
        (ann.email, 3, 3, 3),
        (bob.email, 1, 0, 0),
    ]
    assert (found[0].median, found[1].median) == (30 * SECOND, 20 * SECOND)
    assert habits(organization=acme, mode="live", days=30, now=NOW).people[0].votes == 4
    assert habits(organization=acme, mode="test", days=7, now=NOW).people[0].votes == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "status"), [("owner", 200), ("admin", 200), ("auditor", 200), ("approver", 403), ("viewer", 403)]
)
def test_it_is_for_those_who_look_after_others(client: Client, role: str, status: int) -> None:
    person = a_member(an_organization(), role)
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = client.get("/insights/approvers/")
    assert answer.status_code == status
    assert ("Nobody decided anything in these days" in answer.content.decode()) is (status == 200)
    assert ("How people decide" in client.get("/insights/").content.decode()) is (status == 200)


@pytest.mark.django_db
def test_the_page_has_a_line_a_person(client: Client) -> None:
    acme = an_organization()
    bot, ann = an_agent(acme), a_member(acme, "approver")
    for _ in range(STREAK):
        approval = an_approval(agent=bot)
        Review.objects.create(approval=approval, user=ann, verdict="approve", digest=approval.digest, via="browser")
    client.force_login(a_member(acme, "admin"), backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get("/insights/approvers/?days=7").content.decode()
    assert ann.email in page
    assert "approves everything" in page
    assert "100 %" in page
