"""Several of low risk with one confirmation: each its own vote, its own event, and its own answer."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from approvals import services, together
from approvals.models import Approval, Review
from approvals.rules import Incomplete, Refused
from audit.models import Event
from tests import factories
from tests.approvals.conftest import Acme

pytestmark = pytest.mark.django_db
Enter = Callable[..., Client]
TOGETHER = "/approvals/together"


def low(acme: Acme, **fields: Any) -> Approval:
    return factories.an_approval(agent=acme.bot, risk="low", **fields)


def items(*approvals: Approval) -> list[str]:
    return [f"{each.approval_id}:{each.digest}" for each in approvals]


def ids(*approvals: Approval) -> dict[str, list[str]]:
    return {"id": [each.approval_id for each in approvals]}


def state(approval: Approval) -> str:
    return Approval.objects.get(id=approval.id).state


def test_the_inbox_offers_it_for_what_is_of_low_risk_and_theirs(acme: Acme, enter: Enter) -> None:
    first, second = low(acme), low(acme)
    other, own = factories.an_approval(agent=acme.bot), low(acme, requesters=[acme.approver])
    page = enter(acme.approver).get("/inbox/?view=waiting").content.decode()
    for each, offered in ((first, True), (second, True), (other, False), (own, False)):
        assert (f'name="id" value="{each.approval_id}"' in page) is offered
    assert "All 2 here" in page
    assert 'name="id"' not in enter(acme.viewer).get("/inbox/?view=waiting").content.decode()


def test_the_page_lists_each_with_its_digest_and_says_what_is_left_out(acme: Acme, enter: Enter) -> None:
    first, second = low(acme, reasoning="Charged twice."), low(acme)
    medium, elsewhere = factories.an_approval(agent=acme.bot, risk="medium"), low(acme, mode="test")
    page = enter(acme.approver).get(TOGETHER, ids(first, second, medium, elsewhere)).content.decode()
    for each in (first, second):
        assert f"SHA-256 {each.digest}" in page
    assert "Charged twice." in page
    assert medium.digest not in page
    assert "Only what has a low risk is decided together with others: open this one." in page
    assert elsewhere.digest not in page  # another mode's is not there
    assert not Review.objects.exists()  # opening it decides nothing


def test_each_is_its_own_vote_and_its_own_event(acme: Acme, enter: Enter) -> None:
    three = [low(acme) for _ in range(3)]
    two_people = low(acme, rule={"approvals": 2})
    sent = {"item": items(*three, two_people), "verdict": "approve", "reason": "Small ones."}
    answer = enter(acme.approver).post(TOGETHER, sent)
    assert answer.status_code == 200
    assert [state(each) for each in (*three, two_people)] == ["approved"] * 3 + ["pending"]
    told = Event.objects.filter(kind="person:review:approve").order_by("at")
    assert [each.target for each in told] == [each.approval_id for each in (*three, two_people)]
    assert all(each.data["together"] is True for each in told)
    assert {(each.digest, each.reason, each.via) for each in Review.objects.all()} == {
        (each.digest, "Small ones.", "browser") for each in (*three, two_people)
    }
    enter(acme.approver).post(TOGETHER, sent)  # sent twice: nothing more comes of it
    assert Review.objects.count() == 4


def test_what_changed_meanwhile_is_told_one_by_one_and_the_others_are_decided(acme: Acme, enter: Enter) -> None:
    fine, decided, changed, theirs = low(acme), low(acme), low(acme), low(acme)
    listed = items(fine, decided, changed, theirs)
    services.review(
        approval_id=decided.id,
        by=acme.colleague,
        organization=acme.organization,
        verdict="deny",
        reason="no",
        digest=decided.digest,
        via="browser",
    )
    Approval.objects.filter(id=changed.id).update(digest="0" * 64)
    Approval.objects.filter(id=theirs.id).update(requesters=[acme.approver.id])
    answer = enter(acme.approver).post(TOGETHER, {"item": listed, "verdict": "approve", "reason": "Small ones."})
    page = answer.content.decode()
    assert answer.status_code == 409
    assert f"This request was already denied by {acme.colleague.email}" in page
    assert "This is not the request you were shown." in page
    assert "The agent asks on your behalf" in page
    assert "Small ones." in page  # to copy
    assert [state(each) for each in (fine, decided, changed, theirs)] == ["approved", "denied", "pending", "pending"]
    assert Review.objects.filter(user=acme.approver).count() == 1


@pytest.mark.parametrize("risk", ["medium", "high", "critical"])
def test_from_medium_risk_on_it_is_refused_whatever_is_sent(acme: Acme, enter: Enter, risk: str) -> None:
    """The ladder refuses it, not the page: what a browser sends, and what calls the service, is the same."""
    approval = factories.an_approval(agent=acme.bot, risk=risk, rule={"confirm_critical": False})
    for verdict in ("approve", "deny"):
        answer = enter(acme.approver).post(TOGETHER, {"item": items(approval), "verdict": verdict, "reason": "so"})
        assert answer.status_code == 409
    with pytest.raises(Refused) as refused:
        services.review(
            approval_id=approval.id,
            by=acme.approver,
            organization=acme.organization,
            verdict="approve",
            reason="so",
            digest=approval.digest,
            via="browser",
            together=True,
        )
    assert refused.value.code == "together"
    assert (state(approval), Review.objects.count()) == ("pending", 0)


def test_another_organizations_and_another_modes_are_not_there(acme: Acme, enter: Enter) -> None:
    foreign = factories.an_approval(agent=factories.an_agent(factories.an_organization()), risk="low")
    test = low(acme, mode="test")
    answer = enter(acme.approver).post(TOGETHER, {"item": items(foreign, test), "verdict": "approve"})
    assert foreign.approval_id not in answer.content.decode()
    assert (state(foreign), state(test)) == ("pending", "pending")


@pytest.mark.parametrize("who", ["viewer", "auditor"])
def test_who_decides_nothing_gets_no_page(acme: Acme, enter: Enter, who: str) -> None:
    client = enter(getattr(acme, who))
    assert client.get(TOGETHER).status_code == 403
    assert client.post(TOGETHER, {"item": items(low(acme)), "verdict": "approve"}).status_code == 403


def test_nothing_and_too_many_are_told(acme: Acme, enter: Enter) -> None:
    client = enter(acme.approver)
    assert "Nothing was chosen" in client.get(TOGETHER).content.decode()
    waiting = low(acme)
    for sent in ({"verdict": "approve"}, {"item": items(waiting)}, {"item": items(waiting), "verdict": "perhaps"}):
        assert client.post(TOGETHER, sent).status_code == 422
    with pytest.raises(Incomplete, match="At most 50"):
        together.decide(
            chosen=[(waiting.id, waiting.digest)] * 51,
            by=User(),
            organization=acme.organization,
            mode="live",
            verdict="approve",
            reason="",
            via="browser",
        )
    assert state(waiting) == "pending"
