"""What a rule may ask for: several ways to satisfy it, teams and people, a surer hand, the name typed out."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from accounts.models import Membership, Team, User
from agents import assurance
from agents.models import ApprovalRule
from approvals import rules, services
from approvals.models import Approval, Review
from approvals.rule import Step, Way
from approvals.rules import Case, Incomplete, Person, Refused, Rule, Vote, Who
from approvals.slack.card import card_of
from audit.clock import database_now
from tests import factories
from tests.approvals.conftest import Acme

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
FINANCE, DIRECTORS = uuid.uuid4(), uuid.uuid4()
ANN, BOB = (Person(uuid.uuid4(), "approver", frozenset({FINANCE})) for _ in range(2))
DIRECTOR = Person(uuid.uuid4(), "admin", frozenset({DIRECTORS}))
BOTH = Person(uuid.uuid4(), "approver", frozenset({FINANCE, DIRECTORS}))
PAYMENTS = Rule(
    who=Who(teams=frozenset({FINANCE}), named=("member of finance",)),
    approvals=2,
    alternatives=(Way(1, Who(teams=frozenset({DIRECTORS}), named=("member of directors",))),),
    steps=(Step(timedelta(minutes=10), Who(frozenset({"owner"}))),),
)
CASE = Case("pending", NOON + timedelta(hours=1), "d", PAYMENTS, risk="critical", action="bank.payment.send")


def approvals(*people: Person) -> tuple[Vote, ...]:
    return tuple(Vote(person, "approve", "d") for person in people)


@pytest.mark.parametrize(
    ("people", "outcome", "shown"),
    [
        ([ANN], None, (1, 2)),
        ([ANN, BOB], "approved", (2, 2)),
        ([DIRECTOR], "approved", (1, 1)),
        ([ANN, DIRECTOR], "approved", (1, 1)),
        ([BOTH], "approved", (1, 1)),
        ([ANN, ANN], None, (1, 2)),  # one person, one vote, through whatever teams
        ([Person(ANN.id, "approver"), BOB], None, (1, 2)),  # has left the team since
        ([Person(ANN.id, "viewer", ANN.teams), BOB], None, (1, 2)),  # has the team, and may not decide any more
        ([Person(DIRECTOR.id, "admin")], None, (0, 1)),
    ],
)
def test_two_of_finance_or_one_director(people: list[Person], outcome: str | None, shown: tuple[int, int]) -> None:
    tally = rules.tally(replace(CASE, votes=approvals(*people)))
    assert (tally.outcome, (tally.approvals, tally.needed)) == (outcome, shown)


def test_whom_escalation_adds_counts_in_the_first_way_not_in_the_easier_one() -> None:
    owner = Person(uuid.uuid4(), "owner")
    assert not rules.can_person(CASE, owner)
    escalated = replace(CASE, escalated=1)
    assert rules.can_person(escalated, owner)
    assert rules.tally(replace(escalated, votes=approvals(owner))).outcome is None
    assert rules.tally(replace(escalated, votes=approvals(owner, ANN))).outcome == "approved"


def test_anyone_whom_a_way_names_may_deny() -> None:
    denied = replace(CASE, votes=(Vote(DIRECTOR, "deny", "d"),))
    assert rules.tally(denied).outcome == "denied"
    assert rules.tally(replace(denied, rule=replace(PAYMENTS, denials=2))).outcome is None


def test_who_is_not_named_reads_who_is() -> None:
    with pytest.raises(Refused, match="This needs a member of finance or member of directors; your role is approver"):
        rules.check_person(CASE, Person(uuid.uuid4(), "approver"))


def test_who_changed_the_request_cannot_decide_it() -> None:
    edited = replace(CASE, editors=frozenset({DIRECTOR.id}))
    with pytest.raises(Refused) as refused:
        rules.check_person(edited, DIRECTOR)
    assert refused.value.code == "editor"
    assert rules.tally(replace(edited, votes=approvals(DIRECTOR))).outcome is None


@pytest.mark.parametrize("wanted", list(assurance.LEVELS))
@pytest.mark.parametrize("given", [*assurance.LEVELS, "", "hearsay"])
def test_a_vote_is_given_at_least_as_surely_as_the_rule_wants(wanted: str, given: str) -> None:
    case = replace(CASE, rule=replace(PAYMENTS, assurance=wanted))
    order = list(assurance.LEVELS)
    enough = given in order and order.index(given) >= order.index(wanted)
    assert rules.can_assurance(case, given) is enough


@pytest.mark.parametrize(
    ("typed", "verdict", "risk", "confirm", "enough"),
    [
        ("bank.payment.send", "approve", "critical", True, True),
        (" bank.payment.send ", "approve", "critical", True, True),
        ("bank.payment", "approve", "critical", True, False),
        ("", "approve", "critical", True, False),
        ("", "deny", "critical", True, True),
        ("", "approve", "high", True, True),
        ("", "approve", "critical", False, True),
    ],
)
def test_what_is_critical_is_typed_out_to_approve_it(
    typed: str, verdict: rules.Verdict, risk: str, confirm: bool, enough: bool
) -> None:
    case = replace(CASE, risk=risk, rule=replace(PAYMENTS, confirm_critical=confirm))
    assert rules.can_confirmation(case, verdict, typed) is enough
    if not enough:
        with pytest.raises(Incomplete, match=r"type bank\.payment\.send to approve it"):
            rules.check_confirmation(case, verdict, typed)


def test_a_snapshot_of_before_reads_as_what_it_was() -> None:
    old = {"name": "Default", "roles": ["owner"], "approvals": 2, "denials": 1, "minutes": 60}
    rule = Rule.read(old)
    assert (rule.version, rule.alternatives, rule.assurance, rule.confirm_critical) == (1, (), "slack", False)
    assert (rule.editable, rule.grants_allowed, rule.critical_seconds) == (frozenset(), False, 0)
    assert Rule.read(old | {"assurance": "telepathy"}).assurance == "stepup"  # what is odd reads as the stricter
    assert Rule.read(old | {"edit_fields": ["amount"]}).editable == frozenset()  # only where edits are allowed
    assert Rule.read(old | {"edit_fields": ["amount"], "edits_allowed": True}).editable == {"amount"}


@pytest.mark.django_db
def test_a_rule_reads_back_as_it_was_written(acme: Acme) -> None:
    team = factories.a_team(acme.organization, acme.approver)
    kept = {"id": str(team.id), "slug": team.slug}
    rule = ApprovalRule(
        organization=acme.organization,
        name="Payments",
        version=7,
        roles=[],
        teams=[kept],
        approvals=2,
        alternatives=[{"approvals": 1, "roles": ["owner"], "teams": [], "people": []}],
        assurance="stepup",
        edits_allowed=True,
        edit_fields=["amount"],
        grants_allowed=True,
        critical_seconds=30,
    )
    read = Rule.read(rule.snapshot())
    assert read.ways == (
        Way(2, Who(teams=frozenset({team.id}), named=(f"member of {team.slug}",))),
        Way(1, Who(frozenset({"owner"}))),
    )
    assert (read.version, read.assurance, read.confirm_critical) == (7, "stepup", True)
    assert (read.editable, read.grants_allowed, read.critical_seconds) == ({"amount"}, True, 30)


def two_or_one(finance: Team, directors: Team) -> dict[str, Any]:
    def of(team: Team) -> dict[str, Any]:
        return {"roles": [], "people": [], "teams": [{"id": str(team.id), "slug": team.slug}]}

    return {"approvals": 2, **of(finance), "alternatives": [{"approvals": 1, **of(directors)}]}


def vote(approval: Approval, acme: Acme, by: User, **more: Any) -> str:
    return services.review(
        approval_id=approval.id,
        by=by,
        organization=acme.organization,
        verdict=more.pop("verdict", "approve"),
        reason="so",
        digest=approval.digest,
        via=more.pop("via", "browser"),
        **more,
    ).state


@pytest.mark.django_db
def test_the_vote_counts_by_the_teams_of_this_moment(acme: Acme) -> None:
    finance = factories.a_team(acme.organization, acme.approver, acme.colleague)
    directors = factories.a_team(acme.organization, acme.admin)
    approval = factories.an_approval(agent=acme.bot, rule=two_or_one(finance, directors))
    assert vote(approval, acme, acme.approver) == "pending"
    finance.members.remove(Membership.objects.get(user=acme.approver))
    assert vote(approval, acme, acme.colleague) == "pending"  # the first one does not count any more
    assert vote(approval, acme, acme.admin) == "approved"


@pytest.mark.django_db
@pytest.mark.parametrize("via", ["slack", "api"])
@pytest.mark.parametrize("wanted", ["browser", "stepup"])
def test_slack_and_scripts_are_refused_where_the_rule_wants_more(acme: Acme, via: str, wanted: str) -> None:
    approval = factories.an_approval(agent=acme.bot, rule={"assurance": wanted})
    with pytest.raises(Refused, match="open it in Warden") as refused:
        vote(approval, acme, acme.approver, via=via)
    assert refused.value.code == "assurance"
    assert not Review.objects.exists()


@pytest.mark.django_db
def test_a_vote_keeps_how_it_was_given(acme: Acme) -> None:
    for via, given, kept in (("slack", "", "slack"), ("browser", "", "browser"), ("browser", "stepup", "stepup")):
        approval = factories.an_approval(agent=acme.bot)
        vote(approval, acme, acme.approver, via=via, assurance=given)
        assert Review.objects.get(approval=approval).assurance == kept


@pytest.mark.django_db
def test_the_page_asks_for_the_name_of_what_is_critical(acme: Acme, enter: Any) -> None:
    approval = factories.an_approval(agent=acme.bot, risk="critical", action="database.table.drop")
    client, address = enter(acme.approver), f"/approvals/{approval.approval_id}/approve"
    assert 'name="typed"' in client.get(address).content.decode()
    answer = client.post(address, {"digest": approval.digest, "typed": "database.table", "reason": "It is time."})
    assert answer.status_code == 422
    assert "type database.table.drop to approve it" in answer.content.decode()
    assert "It is time." in answer.content.decode()
    assert client.post(address, {"digest": approval.digest, "typed": "database.table.drop"}).status_code == 302
    assert Approval.objects.get().state == "approved"


@pytest.mark.django_db
def test_the_page_asks_for_a_second_factor_before_the_form(acme: Acme, enter: Any) -> None:
    approval = factories.an_approval(agent=acme.bot, rule={"assurance": "stepup"})
    client, address = enter(acme.approver), f"/approvals/{approval.approval_id}/approve"
    page = client.get(address).content.decode()
    assert "Add a second factor" in page
    assert 'name="digest"' not in page
    answer = client.post(address, {"digest": approval.digest})
    assert answer.status_code == 403
    assert "confirm with your passkey or your app" in answer.content.decode()
    assert Approval.objects.get().state == "pending"


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["denied", "expired", "cancelled"])
def test_the_move_itself_refuses_what_is_not_pending_any_more(acme: Acme, state: str) -> None:
    """Whatever the ladder let through: the condition of the update is what makes the decision the only one (I1)."""
    now = database_now()
    approval = factories.an_approval(agent=acme.bot, state=state, decided_at=now)
    tally = rules.Tally(1, 0, "approved")
    with pytest.raises(RuntimeError, match="nothing is committed"), transaction.atomic():
        services._decide(approval, tally=tally, by=acme.approver, reason="", now=now, claim_until=now, changes=False)
    assert Approval.objects.get().state == state


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rule", "risk", "buttons"),
    [
        ({}, "medium", True),
        ({}, "critical", False),  # it is typed out
        ({"confirm_critical": False}, "critical", True),
        ({"assurance": "browser"}, "medium", False),
        ({"assurance": "stepup"}, "medium", False),
    ],
)
def test_a_card_offers_only_what_the_rule_takes_from_slack(
    acme: Acme, rule: dict[str, Any], risk: str, buttons: bool
) -> None:
    card = str(card_of(factories.an_approval(agent=acme.bot, rule=rule, risk=risk), database_now()).blocks)
    assert ("warden_approve" in card) is buttons
    assert ("decided in Warden" in card) is not buttons
    assert "warden_open" in card
