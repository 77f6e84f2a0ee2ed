"""Escalation: who else may decide once nobody did, and who never may."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import Membership, Team, User
from approvals import clock, rules
from approvals.case import case_of, person_of
from approvals.inbox import Desk, Filters
from approvals.models import Approval
from approvals.news import ApprovalTopic
from approvals.rule import Step
from approvals.rules import Case, Person, Rule, Who
from audit.clock import database_now
from audit.models import Event
from notifications.models import Announcement
from tests import factories
from tests.approvals.conftest import Acme

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ANN, BOB = uuid.uuid4(), uuid.uuid4()
RULE = Rule(
    who=Who(frozenset({"owner"})),
    steps=(
        Step(timedelta(minutes=10), Who(frozenset({"admin"}))),
        Step(timedelta(minutes=20), Who(people=frozenset({ANN}))),
    ),
)


@pytest.mark.parametrize(("minutes", "reached"), [(0, 0), (9.99, 0), (10, 1), (19, 1), (20, 2), (500, 2)])
def test_steps_are_reached_in_their_order(minutes: float, reached: int) -> None:
    assert RULE.reached(timedelta(minutes=minutes)) == reached


@pytest.mark.parametrize(
    ("escalated", "person", "may"),
    [
        (0, Person(BOB, "owner"), True),
        (0, Person(BOB, "admin"), False),
        (1, Person(BOB, "admin"), True),
        (1, Person(ANN, "approver"), False),
        (2, Person(ANN, "approver"), True),
        (2, Person(ANN, "viewer"), False),  # named, and still not able
        (2, Person(ANN, None), False),  # named, and gone
        (2, Person(BOB, "approver"), False),
    ],
)
def test_a_reached_step_lets_more_people_decide(escalated: int, person: Person, may: bool) -> None:
    case = Case("pending", NOW + timedelta(hours=1), "d", RULE, escalated=escalated)
    assert rules.can_person(case, person) is may


@pytest.mark.parametrize("chain", ["owners", "requesters"])
def test_escalation_never_reaches_the_requesters_chain(chain: str) -> None:
    barred: dict[str, Any] = {chain: frozenset({ANN})}
    vote = rules.Vote(Person(ANN, "admin"), "approve", "d")
    case = Case("pending", NOW, "d", RULE, escalated=2, **barred)
    assert not rules.can_person(case, Person(ANN, "admin"))
    assert rules.tally(Case("pending", NOW, "d", RULE, votes=(vote,), escalated=2, **barred)).outcome is None


def test_a_vote_by_escalation_counts() -> None:
    vote = rules.Vote(Person(ANN, "approver"), "approve", "d")
    case = Case("pending", NOW, "d", RULE, votes=(vote,), escalated=2)
    assert rules.tally(case).outcome == "approved"


def step(minutes: int, *, roles: list[str] | None = None, team: Team | None = None, person: User | None = None) -> Any:
    return {
        "after_minutes": minutes,
        "roles": roles or [],
        "teams": [{"id": str(team.id), "slug": team.slug}] if team else [],
        "people": [{"id": str(person.id), "email": person.email}] if person else [],
    }


def waiting(acme: Acme, waited: float, *steps: Any, **fields: Any) -> Approval:
    made = database_now() - timedelta(minutes=waited)
    snapshot = {"roles": ["owner"], "escalation": list(steps)}
    due = clock.escalation(Rule.read({"approvals": 1, "denials": 1, **snapshot}), made, 0)
    return factories.an_approval(agent=acme.bot, now=made, rule=snapshot, escalate_at=due, **fields)


def may(approval: Approval, acme: Acme) -> set[str]:
    """Who may decide, by the rules; the inbox must say the same."""
    approval.refresh_from_db()
    case, now = case_of(approval, acme.organization), database_now()
    found = set()
    for member in Membership.objects.filter(organization=acme.organization).select_related("user", "organization"):
        able = rules.can_person(case, person_of(acme.organization.id, member.user_id))
        shown = Desk(member, "live", now, Filters("mine")).of_view("mine").filter(pk=approval.pk).exists()
        assert able == shown, member
        if able:
            found.add(member.user.email)
    return found


@pytest.mark.django_db
def test_a_due_step_is_taken_once_told_and_recorded(acme: Acme) -> None:
    team = factories.a_team(acme.organization, acme.colleague, acme.viewer, acme.owner)
    approval = waiting(acme, 12, step(10, roles=["admin"], team=team), step(30, person=acme.approver))
    assert may(approval, acme) == set()  # the owner owns the agent
    assert clock.escalate_due() == 1
    assert clock.escalate_due() == 0
    assert may(approval, acme) == {acme.admin.email, acme.colleague.email}
    assert (approval.escalated, approval.escalate_at) == (1, approval.created_at + timedelta(minutes=30))
    assert Announcement.objects.get().event == "approval.escalated"
    event = Event.objects.get(kind="system:approval:escalated")
    assert event.target == approval.approval_id
    assert event.data == {"step": 1, "to": f"admin, team {team.slug}"}
    team.members.remove(Membership.objects.get(user=acme.colleague))
    assert may(approval, acme) == {acme.admin.email}  # teams are as they are now


@pytest.mark.django_db
def test_who_slept_through_two_steps_takes_both_at_once(acme: Acme) -> None:
    approval = waiting(acme, 40, step(10, roles=["admin"]), step(30, person=acme.approver))
    assert clock.escalate_due() == 1
    assert may(approval, acme) == {acme.admin.email, acme.approver.email}
    assert (approval.escalated, approval.escalate_at) == (2, None)


@pytest.mark.django_db
def test_what_no_longer_waits_is_not_escalated(acme: Acme) -> None:
    waiting(acme, 12, step(10, roles=["admin"]), state="cancelled", decided_at=database_now())
    waiting(acme, 12, step(10, roles=["admin"]), minutes=11)
    assert clock.escalate_due() == 0


@pytest.mark.django_db
def test_the_page_says_what_is_due_and_what_was_reached(acme: Acme, enter: Any) -> None:
    approval = waiting(acme, 12, step(10, roles=["admin"]), step(30, person=acme.approver))
    clock.escalate_due()
    text = enter(acme.admin).get(f"/approvals/{approval.approval_id}").content.decode()
    assert "<b>Escalated.</b>" in text
    assert "After 10 minutes admins may decide too." in text
    assert "Due " in text
    assert "may decide" in text.partition('id="trail"')[2]  # the step, in what happened


@pytest.mark.django_db
def test_whom_a_step_adds_is_told_and_nobody_who_was_asked_before(acme: Acme) -> None:
    waiting(acme, 12, step(10, roles=["owner", "admin"], person=acme.approver))
    clock.escalate_due()
    facts = ApprovalTopic().facts(Announcement.objects.get())
    assert {member.user for member in facts.people} == {acme.admin, acme.approver}
