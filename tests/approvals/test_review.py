"""One person's vote: who may, what it comes to, and that a final state never changes."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import Membership, User
from approvals import rules, services
from approvals.models import Approval, Review
from audit.clock import database_now
from audit.models import Event
from notifications.models import Announcement
from tests import factories
from tests.approvals.conftest import Acme

pytestmark = pytest.mark.django_db
Say = Callable[..., Approval]


def say(approval: Approval, by: User, verdict: rules.Verdict = "approve", **changes: Any) -> Approval:
    arguments: dict[str, Any] = {
        "approval_id": approval.id,
        "by": by,
        "organization": approval.organization,
        "verdict": verdict,
        "reason": "Because.",
        "digest": approval.digest,
        "via": "browser",
    }
    return services.review(**(arguments | changes))


def kinds(approval: Approval) -> list[str]:
    return list(Event.objects.filter(target=approval.approval_id).order_by("at", "id").values_list("kind", flat=True))


def test_an_approver_approves_what_an_agent_asked(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot, amount="500.00")
    before = database_now()
    decided = say(waiting, acme.approver)
    waiting.refresh_from_db()
    assert waiting.state == decided.state == "approved"
    assert waiting.decided_by == acme.approver
    assert waiting.decided_by_label == acme.approver.email
    assert waiting.reason == "Because."
    assert waiting.decided_at is not None
    assert before <= waiting.decided_at <= database_now()
    assert waiting.claim_until == waiting.decided_at + timedelta(seconds=acme.organization.claim_seconds)
    vote = waiting.reviews.get()
    assert (vote.user, vote.verdict, vote.digest, vote.via) == (acme.approver, "approve", waiting.digest, "browser")


def test_the_vote_the_state_the_record_and_the_news_commit_together(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot, mode="test")
    say(waiting, acme.approver, "deny", reason="No such charge.")
    assert kinds(waiting) == ["person:review:deny", "person:approval:denied"]
    event = Event.objects.get(kind="person:approval:denied")
    assert (event.actor, event.mode, event.result) == (acme.approver.email, "test", "denied")
    assert event.data["digest"] == waiting.digest
    assert event.data["reason"] == "No such charge."
    news = Announcement.objects.get()
    assert (news.event, news.target, news.mode) == ("approval.denied", waiting.approval_id, "test")


def test_nothing_is_left_when_the_news_cannot_be_written(acme: Acme) -> None:
    """The transaction is one: a failure at its last statement takes the vote back."""
    waiting = factories.an_approval(agent=acme.bot)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE notifications_announcement ADD CONSTRAINT full_up CHECK (event = 'nothing')")
    with pytest.raises(IntegrityError), transaction.atomic():
        say(waiting, acme.approver)
    waiting.refresh_from_db()
    assert waiting.state == "pending"
    assert not Review.objects.exists()
    assert kinds(waiting) == []


@pytest.mark.parametrize(
    ("who", "code"),
    [("owner", "owner"), ("auditor", "role"), ("viewer", "role"), ("stranger", "not_a_member")],
)
@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_who_may_not_decide_changes_nothing(acme: Acme, who: str, code: str, verdict: rules.Verdict) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    with pytest.raises(rules.Refused) as refused:
        say(waiting, getattr(acme, who), verdict)
    assert refused.value.code == code
    waiting.refresh_from_db()
    assert waiting.state == "pending"
    assert not Review.objects.exists()


def test_an_owner_cannot_approve_what_her_own_agent_asked_even_if_she_became_its_owner_later(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    acme.bot.owner_user = acme.approver
    acme.bot.save(update_fields=["owner_user"])
    with pytest.raises(rules.Refused, match="You own this agent"):
        say(waiting, acme.approver)


def test_nobody_of_the_team_that_owns_the_agent_decides(acme: Acme) -> None:
    team = factories.a_team(acme.organization, acme.approver, acme.admin)
    bot = factories.an_agent(acme.organization, owner=team)
    waiting = factories.an_approval(agent=bot)
    for member in (acme.approver, acme.admin):
        with pytest.raises(rules.Refused, match="You own this agent"):
            say(waiting, member)
    assert say(waiting, acme.colleague).state == "approved"


def test_who_made_the_key_does_not_decide_what_was_asked_with_it(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot, requesters=[acme.approver])
    with pytest.raises(rules.Refused, match="on your behalf"):
        say(waiting, acme.approver)


def test_a_role_lost_a_moment_ago_is_lost(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    Membership.objects.filter(user=acme.approver).update(role="viewer")
    with pytest.raises(rules.Refused, match="your role is viewer"):
        say(waiting, acme.approver)
    Membership.objects.filter(user=acme.approver).delete()
    with pytest.raises(rules.Refused, match="not a member"):
        say(waiting, acme.approver)


def test_a_deactivated_person_decides_nothing(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    User.objects.filter(pk=acme.approver.pk).update(is_active=False)
    with pytest.raises(rules.Refused, match="not a member"):
        say(waiting, acme.approver)


def test_a_request_of_another_organization_does_not_exist(acme: Acme) -> None:
    elsewhere = factories.an_organization()
    factories.a_member(elsewhere, "approver")
    foreign = factories.an_approval(agent=factories.an_agent(elsewhere))
    with pytest.raises(Approval.DoesNotExist):
        say(foreign, acme.approver, organization=acme.organization)


def test_nothing_is_decided_while_the_organization_is_paused(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    factories.a_stop(acme.organization)
    with pytest.raises(rules.Refused) as refused:
        say(waiting, acme.approver, organization=acme.organization)
    assert refused.value.code == "paused"


def test_another_digest_is_a_conflict(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    other = factories.an_approval(agent=acme.bot)
    with pytest.raises(rules.Conflict) as refused:
        say(waiting, acme.approver, digest=other.digest)
    assert refused.value.code == "digest"


def test_a_denial_says_why(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    with pytest.raises(rules.Incomplete):
        say(waiting, acme.approver, "deny", reason="  \n ")
    assert say(waiting, acme.approver, "approve", reason="").state == "approved"


def test_a_double_click_is_one_vote_and_no_error(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot, rule={"approvals": 2})
    assert say(waiting, acme.approver).state == "pending"
    assert say(waiting, acme.approver).state == "pending"
    assert Review.objects.count() == 1
    assert say(waiting, acme.colleague).state == "approved"
    assert say(waiting, acme.colleague).state == "approved"
    assert kinds(waiting) == ["person:review:approve"] * 2 + ["person:approval:approved"]
    assert Announcement.objects.count() == 1


def test_nobody_votes_twice_or_takes_a_vote_back(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot, rule={"approvals": 2})
    say(waiting, acme.approver)
    with pytest.raises(rules.Refused) as refused:
        say(waiting, acme.approver, "deny")
    assert refused.value.code == "voted"


def test_who_came_second_hears_who_was_first(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot)
    say(waiting, acme.approver, "deny")
    with pytest.raises(rules.Conflict, match=f"already denied by {acme.approver.email}"):
        say(waiting, acme.colleague, "approve")
    waiting.refresh_from_db()
    assert waiting.state == "denied"


def test_a_vote_of_somebody_who_left_does_not_complete_a_quorum(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot, rule={"approvals": 2})
    say(waiting, acme.approver)
    Membership.objects.filter(user=acme.approver).delete()
    assert say(waiting, acme.colleague).state == "pending"
    assert say(waiting, acme.admin).state == "approved"


def test_a_deadline_that_has_passed_ends_it_on_the_spot(acme: Acme) -> None:
    waiting = factories.an_approval(agent=acme.bot, minutes=-0.01)
    with pytest.raises(rules.Conflict) as refused:
        say(waiting, acme.approver)
    assert refused.value.code == "expired"
    waiting.refresh_from_db()
    assert (waiting.state, waiting.decided_by, waiting.reason) == ("expired", None, "Nobody decided in time")
    assert kinds(waiting) == ["system:approval:expired"]
    assert Announcement.objects.get().event == "approval.expired"
    assert not Review.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_waiting_agent_is_woken_with_the_commit(acme: Acme) -> None:
    from tests.server import test_database_url

    waiting = factories.an_approval(agent=acme.bot)
    with psycopg.connect(test_database_url(), autocommit=True) as listener:
        listener.execute("LISTEN warden_approval")
        with transaction.atomic():
            say(waiting, acme.approver)
            assert list(listener.notifies(timeout=0.3)) == []
        heard = [notice.payload for notice in listener.notifies(timeout=5, stop_after=1)]
    assert heard == [str(waiting.id)]
