"""Two people at once: one final state (I1), whoever wins."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import connection

from accounts.models import User
from approvals import rules, services
from approvals.models import Approval, Review
from audit.models import Event
from notifications.models import Announcement
from tests import factories
from tests.approvals.conftest import Acme, make_acme

PAIRS = 200
QUORUMS = 500
pytestmark = pytest.mark.django_db(transaction=True)


class Crowd:
    """People who decide at the same moment, each in a thread with a connection of their own."""

    def __init__(self, acme: Acme, size: int) -> None:
        self.acme, self.ready = acme, threading.Barrier(size)
        self.pool = ThreadPoolExecutor(size)

    def decide(self, approval: Approval, contenders: list[tuple[User, rules.Verdict]]) -> list[str]:
        """What each was told."""
        return list(self.pool.map(lambda contender: self._one(approval, *contender), contenders))

    def close(self) -> None:
        for left in [self.pool.submit(self._leave) for _ in range(self.ready.parties)]:
            left.result()
        self.pool.shutdown()

    def _one(self, approval: Approval, by: User, verdict: rules.Verdict) -> str:
        self.ready.wait(timeout=30)
        try:
            services.review(
                approval_id=approval.id,
                by=by,
                organization=self.acme.organization,
                verdict=verdict,
                reason="raced",
                digest=approval.digest,
                via="browser",
            )
        except rules.Refused as refused:
            return refused.code
        return verdict

    def _leave(self) -> None:
        self.ready.wait(timeout=30)  # so that each thread does it once
        connection.close()


@contextmanager
def crowd(acme: Acme, size: int) -> Iterator[Crowd]:
    made = Crowd(acme, size)
    try:
        yield made
    finally:
        made.close()


def test_an_approval_and_a_denial_at_once_come_to_one_final_state() -> None:
    acme = make_acme()
    wins: Counter[str] = Counter()
    with crowd(acme, 2) as two:
        for _ in range(PAIRS):
            approval = factories.an_approval(agent=acme.bot)
            told = two.decide(approval, [(acme.approver, "approve"), (acme.colleague, "deny")])
            assert sorted(told) in (["approve", "decided"], ["decided", "deny"])
            won = "approved" if "approve" in told else "denied"
            approval.refresh_from_db()
            assert approval.state == won
            wins[won] += 1
    assert Review.objects.count() == PAIRS
    ends = ["person:approval:approved", "person:approval:denied"]
    assert Event.objects.filter(kind__in=ends).count() == PAIRS
    assert Event.objects.filter(kind__in=ends).values("target").distinct().count() == PAIRS
    assert Announcement.objects.count() == PAIRS
    assert sum(wins.values()) == PAIRS


def test_the_two_votes_of_a_quorum_at_once_are_both_counted() -> None:
    acme = make_acme()
    with crowd(acme, 2) as two:
        for _ in range(20):
            approval = factories.an_approval(agent=acme.bot, rule={"approvals": 2})
            assert two.decide(approval, [(acme.approver, "approve"), (acme.colleague, "approve")]) == ["approve"] * 2
            approval.refresh_from_db()
            assert approval.state == "approved"
            assert approval.reviews.count() == 2


def test_five_people_at_once_under_a_quorum_of_two() -> None:
    """None is stuck, none has a vote too many: who came third is told that it was decided."""
    acme = make_acme()
    people = [
        acme.approver,
        acme.colleague,
        acme.admin,
        *(factories.a_member(acme.organization, "approver") for _ in "ab"),
    ]
    with crowd(acme, 5) as five:
        for _ in range(QUORUMS):
            approval = factories.an_approval(agent=acme.bot, rule={"approvals": 2})
            told = five.decide(approval, [(person, "approve") for person in people])
            assert Counter(told) == {"approve": 2, "decided": 3}
            approval.refresh_from_db()
            assert approval.state == "approved"
            assert approval.reviews.count() == 2
    ends = Event.objects.filter(kind="person:approval:approved")
    assert ends.count() == ends.values("target").distinct().count() == QUORUMS


def test_one_person_clicking_five_times_at_once_votes_once() -> None:
    acme = make_acme()
    approval = factories.an_approval(agent=acme.bot)
    with crowd(acme, 5) as five:
        assert five.decide(approval, [(acme.approver, "approve")] * 5) == ["approve"] * 5
    assert Review.objects.count() == 1
    assert Announcement.objects.count() == 1


def test_a_decision_and_the_sweep_at_the_deadline_come_to_one_end() -> None:
    acme = make_acme()
    for _ in range(30):
        approval = factories.an_approval(agent=acme.bot, minutes=0.0005)  # 30 ms from now

        def sweep(_: int) -> None:
            try:
                for _ in range(4):
                    services.expire_due()
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool, crowd(acme, 1) as one:
            swept = pool.submit(sweep, 0)
            told = one.decide(approval, [(acme.approver, "approve")])
            swept.result()
        services.expire_due()
        approval.refresh_from_db()
        if approval.state == "pending":  # neither came: the deadline was still ahead for both
            pytest.fail("a request outlived its deadline")
        assert (approval.state, told) in (("approved", ["approve"]), ("expired", ["expired"]))
        assert Event.objects.filter(target=approval.approval_id, kind__contains=":approval:").count() == 1
