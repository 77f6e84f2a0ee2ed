"""Deciding in somebody's name while they are away: never more than they, or who does it, could."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils.html import strip_tags

from accounts.models import Delegation, Membership, User
from accounts.rules import Refused as NotSo
from accounts.services import delegations
from approvals import rules, services
from approvals.models import Approval, Review
from approvals.news import ApprovalTopic
from audit.clock import database_now
from audit.models import Event
from notifications.models import Announcement
from tests import factories
from tests.approvals.conftest import Acme

pytestmark = pytest.mark.django_db
ADMINS = {"roles": ["admin"]}


def member(user: User) -> Membership:
    return Membership.objects.get(user=user)


def away(user: User, *delegates: User, hours: float = 24, starts: float = 0) -> Delegation:
    now = database_now()
    return delegations.create(
        member=member(user),
        starts_at=now + timedelta(hours=starts),
        ends_at=now + timedelta(hours=starts + hours),
        delegates=[member(each) for each in delegates],
        by=member(user),
    )


def vote(approval: Approval, acme: Acme, by: User, verdict: rules.Verdict = "approve") -> str:
    return services.review(
        approval_id=approval.id,
        by=by,
        organization=acme.organization,
        verdict=verdict,
        reason="so",
        digest=approval.digest,
        via="browser",
    ).state


def refused(approval: Approval, acme: Acme, by: User, verdict: rules.Verdict = "approve") -> str:
    with pytest.raises(rules.Refused) as why:
        vote(approval, acme, by, verdict)
    return why.value.code


def test_a_colleague_decides_in_the_name_of_who_is_away_and_it_says_so(acme: Acme, enter: Any) -> None:
    approval = factories.an_approval(agent=acme.bot, rule=ADMINS)
    assert refused(approval, acme, acme.approver) == "role"
    away(acme.admin, acme.approver)
    assert vote(approval, acme, acme.approver) == "approved"
    review = Review.objects.get()
    assert (review.user, review.on_behalf_of) == (acme.approver, acme.admin)
    assert Event.objects.get(kind="person:review:approve").data["for"] == acme.admin.email
    page = strip_tags(enter(acme.viewer).get(f"/approvals/{approval.approval_id}").content.decode())
    assert f"{acme.approver.email} for {acme.admin.email} approved" in page


@pytest.mark.parametrize(("starts", "hours"), [(1, 1), (-2, 1)])
def test_only_while_they_are_away(acme: Acme, starts: float, hours: float) -> None:
    row = away(acme.admin, acme.approver, hours=hours, starts=max(starts, 0.5))
    Delegation.objects.filter(pk=row.pk).update(
        starts_at=database_now() + timedelta(hours=starts), ends_at=database_now() + timedelta(hours=starts + hours)
    )
    assert refused(factories.an_approval(agent=acme.bot, rule=ADMINS), acme, acme.approver) == "role"


def test_an_absence_that_was_called_off_lends_nothing_and_undoes_nothing(acme: Acme) -> None:
    row = away(acme.admin, acme.approver)
    first = factories.an_approval(agent=acme.bot, rule=ADMINS | {"approvals": 2})
    vote(first, acme, acme.approver)
    delegations.end(delegation=row, by=member(acme.admin))
    assert rules.tally(services.case_of(first, acme.organization)).approvals == 1
    assert refused(factories.an_approval(agent=acme.bot, rule=ADMINS), acme, acme.approver) == "role"


def test_it_gives_no_more_than_the_one_who_is_away_could_decide(acme: Acme) -> None:
    away(acme.owner, acme.colleague)  # who owns the bot
    assert refused(factories.an_approval(agent=acme.bot, rule={"roles": ["owner"]}), acme, acme.colleague) == "role"
    away(acme.admin, acme.colleague)
    asked = factories.an_approval(agent=acme.bot, rule=ADMINS, requesters=[acme.admin])
    assert refused(asked, acme, acme.colleague) == "role"
    Membership.objects.filter(user=acme.admin).update(role="viewer")
    assert refused(factories.an_approval(agent=acme.bot, rule=ADMINS), acme, acme.colleague) == "role"


def test_it_gives_nobody_more_than_their_own_role_does(acme: Acme) -> None:
    with pytest.raises(NotSo, match="gives nobody more than their role"):
        away(acme.admin, acme.viewer)
    away(acme.admin, acme.approver)
    Membership.objects.filter(user=acme.approver).update(role="viewer")
    assert refused(factories.an_approval(agent=acme.bot, rule=ADMINS), acme, acme.approver) == "role"


def test_nobody_decides_for_somebody_what_they_asked_themselves(acme: Acme) -> None:
    away(acme.admin, acme.approver)
    own = factories.an_agent(acme.organization, owner=acme.approver)
    assert refused(factories.an_approval(agent=own, rule=ADMINS), acme, acme.approver) == "owner"


def test_one_person_one_vote_also_through_delegations(acme: Acme) -> None:
    away(acme.admin, acme.approver, acme.colleague)
    two = factories.an_approval(agent=acme.bot, rule={"roles": ["admin", "approver"], "approvals": 3})
    vote(two, acme, acme.approver)  # in their own name, which comes first
    assert Review.objects.get().on_behalf_of is None
    assert refused(two, acme, acme.approver, "deny") == "voted"
    for_admin = factories.an_approval(agent=acme.bot, rule=ADMINS | {"approvals": 3})
    vote(for_admin, acme, acme.approver)
    assert refused(for_admin, acme, acme.colleague) == "role"  # the one vote they had to lend is given
    assert refused(for_admin, acme, acme.admin) == "voted"
    assert rules.tally(services.case_of(for_admin, acme.organization)).approvals == 1


def test_what_is_lent_is_not_lent_on(acme: Acme) -> None:
    away(acme.admin, acme.approver)
    away(acme.approver, acme.colleague)
    assert refused(factories.an_approval(agent=acme.bot, rule=ADMINS), acme, acme.colleague) == "role"


def test_the_database_takes_one_vote_in_a_name(acme: Acme) -> None:
    approval = factories.an_approval(agent=acme.bot)
    Review.objects.create(approval=approval, user=acme.admin, verdict="approve", digest="d", via="api")
    with pytest.raises(IntegrityError), transaction.atomic():
        Review.objects.create(
            approval=approval, user=acme.approver, on_behalf_of=acme.admin, verdict="approve", digest="d", via="api"
        )


@pytest.mark.parametrize("who", ["admin", "approver"])
def test_a_vote_in_a_name_counts_while_both_may_decide(acme: Acme, who: str) -> None:
    away(acme.admin, acme.approver)
    approval = factories.an_approval(agent=acme.bot, rule=ADMINS | {"approvals": 2})
    vote(approval, acme, acme.approver)
    Membership.objects.filter(user=getattr(acme, who)).update(role="viewer")
    assert rules.tally(services.case_of(approval, acme.organization)).approvals == 0


@pytest.mark.parametrize(
    ("hours", "words"), [(0, "not after the beginning"), (-1, "not after"), (24 * 91, "At most 90 days")]
)
def test_a_period_that_will_not_do_is_refused(acme: Acme, hours: float, words: str) -> None:
    with pytest.raises(NotSo, match=words):
        away(acme.admin, acme.approver, hours=hours)


def test_nobody_says_that_somebody_else_is_away(acme: Acme) -> None:
    with pytest.raises(NotSo, match="Only they themselves"):
        delegations.create(
            member=member(acme.approver),
            starts_at=None,
            ends_at=database_now() + timedelta(days=1),
            by=member(acme.owner),
        )
    with pytest.raises(NotSo, match="other members of this organization"):
        away(acme.admin, acme.stranger)
    with pytest.raises(NotSo, match="You decide nothing here"):
        away(acme.viewer, acme.admin)
    away(acme.admin)
    with pytest.raises(NotSo, match="away then already"):
        away(acme.admin, acme.approver)


def test_who_is_away_is_not_asked_and_who_decides_for_them_is(acme: Acme) -> None:
    away(acme.admin, acme.approver)
    approval = factories.an_approval(agent=acme.bot, rule={"roles": ["admin"]})
    announcement = Announcement(
        organization=acme.organization, mode="live", event="approval.requested", target=approval.approval_id
    )
    assert [member.user for member in ApprovalTopic().facts(announcement).people] == [acme.approver]


def test_where_everybody_is_away_all_are_asked(acme: Acme) -> None:
    away(acme.admin)
    approval = factories.an_approval(agent=acme.bot, rule={"roles": ["admin"]})
    announcement = Announcement(
        organization=acme.organization, mode="live", event="approval.requested", target=approval.approval_id
    )
    assert [member.user for member in ApprovalTopic().facts(announcement).people] == [acme.admin]
