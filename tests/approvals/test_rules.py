"""The ladder of rules, as tables: no database."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from approvals import rules
from approvals.rules import Case, Conflict, Incomplete, Person, Refused, Rule, Vote, Who

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ANN, BOB, CAT, OWNER = (uuid.UUID(int=number) for number in range(1, 5))
STANDARD = Rule(who=Who(frozenset({"owner", "admin", "approver"})))
CASE = Case(
    state="pending",
    expires_at=NOON + timedelta(hours=1),
    digest="d" * 64,
    rule=STANDARD,
    requesters=frozenset({CAT}),
    owners=frozenset({OWNER}),
)
ann = Person(ANN, "approver")


def said(person: uuid.UUID, verdict: rules.Verdict, *, role: str | None = "approver", digest: str = "d" * 64) -> Vote:
    return Vote(Person(person, role), verdict, digest)


@pytest.mark.parametrize(
    ("state", "seconds_left", "code"),
    [
        ("pending", 1, None),
        ("pending", 0, "expired"),  # at the deadline it has passed
        ("pending", -1, "expired"),
        ("approved", 1, "decided"),
        ("denied", 1, "decided"),
        ("denied", -1, "decided"),
        ("expired", -1, "expired"),
        ("cancelled", 1, "cancelled"),
    ],
)
def test_only_a_pending_request_before_its_deadline_can_change(state: str, seconds_left: int, code: str | None) -> None:
    case = replace(CASE, state=state, expires_at=NOON + timedelta(seconds=seconds_left))
    assert rules.can_change(case, NOON) is (code is None)
    if code:
        with pytest.raises(Conflict) as refused:
            rules.check_change(case, NOON)
        assert refused.value.code == code
        assert refused.value.status == 409
    assert rules.can_change(replace(case, frozen=True), NOON) is (state == "pending")  # deadlines stand still


def test_who_came_too_late_hears_who_decided_and_when() -> None:
    case = replace(CASE, state="denied", decided_by="bob@example.com", decided_at=NOON)
    with pytest.raises(Conflict, match=r"already denied by bob@example.com at 12:00:00 UTC on 1 May 2026"):
        rules.check_change(case, NOON)


@pytest.mark.parametrize(
    ("person", "changes", "code"),
    [
        (ann, {}, None),
        (Person(BOB, "admin"), {}, None),
        (Person(BOB, "owner"), {}, None),
        (Person(BOB, None), {}, "not_a_member"),
        (Person(BOB, "viewer"), {}, "role"),
        (Person(BOB, "auditor"), {}, "role"),
        (Person(BOB, "janitor"), {}, "role"),
        (
            Person(BOB, "viewer"),
            {"rule": Rule(who=Who(frozenset({"viewer"})))},
            "role",
        ),  # naming it does not make it able
        (Person(BOB, "owner"), {"rule": Rule(who=Who(frozenset({"approver"})))}, "role"),
        (ann, {"rule": Rule(who=Who(frozenset()))}, "role"),
        (Person(OWNER, "owner"), {}, "owner"),
        (Person(CAT, "approver"), {}, "requester"),
        (ann, {"votes": (said(ANN, "approve"),)}, "voted"),
        (ann, {"votes": (said(BOB, "approve"),)}, None),
        (ann, {"paused": "Agent is paused"}, "paused"),
    ],
)
def test_who_may_decide(person: Person, changes: dict[str, object], code: str | None) -> None:
    case = replace(CASE, **changes)  # type: ignore[arg-type]
    assert rules.can_person(case, person) is (code is None)
    assert bool(rules.why_not(case, person, NOON)) is (code is not None)
    if code:
        with pytest.raises(Refused) as refused:
            rules.check_person(case, person)
        assert refused.value.code == code
        assert refused.value.status == 403


def test_the_reason_is_a_sentence_that_names_who_could() -> None:
    with pytest.raises(Refused, match=r"^This needs an owner, admin or approver; your role is viewer\.$"):
        rules.check_person(CASE, Person(BOB, "viewer"))
    only_admins = replace(CASE, rule=Rule(who=Who(frozenset({"admin"}))))
    with pytest.raises(Refused, match=r"^This needs an admin; your role is approver\.$"):
        rules.check_person(only_admins, ann)


def test_only_what_was_shown_can_be_decided() -> None:
    assert rules.can_shown(CASE, CASE.digest)
    for other in ("", "e" * 64, CASE.digest.upper(), CASE.digest + " "):
        assert not rules.can_shown(CASE, other)
        with pytest.raises(Conflict) as refused:
            rules.check_shown(CASE, other)
        assert (refused.value.code, refused.value.status) == ("digest", 409)


@pytest.mark.parametrize(
    ("verdict", "reason", "rule", "code"),
    [
        ("approve", "", STANDARD, None),
        ("deny", "", STANDARD, "reason_required"),
        ("deny", "No such charge.", STANDARD, None),
        ("deny", "", replace(STANDARD, reason_to_deny=False), None),
        ("approve", "", replace(STANDARD, reason_to_approve=True), "reason_required"),
        ("approve", "a" * 2_000, STANDARD, None),
        ("approve", "a" * 2_001, STANDARD, "reason_long"),
        ("approve", "a\0b", STANDARD, "reason_nul"),
    ],
)
def test_a_reason_where_the_rule_wants_one(verdict: rules.Verdict, reason: str, rule: Rule, code: str | None) -> None:
    case = replace(CASE, rule=rule)
    assert rules.can_reason(case, verdict, reason) is (code is None)
    if code:
        with pytest.raises(Incomplete) as refused:
            rules.check_reason(case, verdict, reason)
        assert (refused.value.code, refused.value.status) == (code, 422)


def test_the_rungs_are_climbed_in_order() -> None:
    """Who may not decide never learns whether their digest was right; a stranger never sees what is lacking."""
    late = replace(CASE, state="approved")
    with pytest.raises(Conflict, match="already approved"):
        rules.check_review(late, person=Person(BOB, None), verdict="deny", reason="", digest="x", now=NOON)
    with pytest.raises(Refused, match="not a member"):
        rules.check_review(CASE, person=Person(BOB, None), verdict="deny", reason="", digest="x", now=NOON)
    with pytest.raises(Conflict, match="not the request you were shown"):
        rules.check_review(CASE, person=ann, verdict="deny", reason="", digest="x", now=NOON)
    with pytest.raises(Incomplete):
        rules.check_review(CASE, person=ann, verdict="deny", reason="", digest=CASE.digest, now=NOON)
    rules.check_review(CASE, person=ann, verdict="deny", reason="No.", digest=CASE.digest, now=NOON)


@pytest.mark.parametrize(
    ("needed", "votes", "outcome"),
    [
        ((1, 1), [], None),
        ((1, 1), [said(ANN, "approve")], "approved"),
        ((1, 1), [said(ANN, "deny")], "denied"),
        ((2, 1), [said(ANN, "approve")], None),
        ((2, 1), [said(ANN, "approve"), said(ANN, "approve")], None),  # distinct people
        ((2, 1), [said(ANN, "approve"), said(BOB, "approve")], "approved"),
        ((2, 1), [said(ANN, "approve"), said(BOB, "deny")], "denied"),
        ((2, 2), [said(ANN, "approve"), said(BOB, "deny")], None),
        ((1, 2), [said(ANN, "deny"), said(BOB, "approve")], "approved"),
        ((2, 1), [said(ANN, "approve", role=None), said(BOB, "approve")], None),  # has left since
        ((2, 1), [said(ANN, "approve", role="viewer"), said(BOB, "approve")], None),  # lost the role since
        ((2, 1), [said(OWNER, "approve"), said(BOB, "approve")], None),  # became the agent's owner since
        ((2, 1), [said(CAT, "approve"), said(BOB, "approve")], None),
        ((2, 1), [said(ANN, "approve", digest="e" * 64), said(BOB, "approve")], None),  # was shown something else
    ],
)
def test_the_quorum_counts_distinct_people_who_may_decide_now(
    needed: tuple[int, int], votes: list[Vote], outcome: str | None
) -> None:
    rule = replace(STANDARD, approvals=needed[0], denials=needed[1])
    assert rules.tally(replace(CASE, rule=rule, votes=tuple(votes))).outcome == outcome


def test_a_snapshot_without_its_numbers_is_refused_not_guessed() -> None:
    with pytest.raises(KeyError):
        Rule.read({"roles": ["approver"]})
    assert Rule.read({"roles": ["approver"], "approvals": 0, "denials": 0}).approvals == 1


def test_a_pending_request_past_its_deadline_shows_as_expired() -> None:
    assert rules.current_state("pending", NOON, NOON) == "expired"
    assert rules.current_state("pending", NOON + timedelta(microseconds=1), NOON) == "pending"
    assert rules.current_state("approved", NOON, NOON + timedelta(days=1)) == "approved"
