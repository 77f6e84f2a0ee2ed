"""What is critical is read first: for as long as its rule says, since the server showed it to that person."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from agents.models import ApprovalRule
from agents.services.facts import token
from agents.words import rule_sentence
from approvals import rules, services, shown
from approvals.models import Approval, Review
from approvals.rule import Rule
from approvals.rules import Incomplete, Refused
from approvals.slack.card import card_of
from audit.clock import database_now
from audit.models import Event
from tests import factories
from tests.approvals.conftest import Acme

NOW = datetime(2027, 1, 1, 12, 0, tzinfo=UTC)
SLOW = {"confirm_critical": False, "critical_seconds": 30}


def critical(acme: Acme, **fields: Any) -> Approval:
    return factories.an_approval(agent=acme.bot, risk="critical", rule=SLOW, **fields)


@pytest.mark.parametrize(
    ("verdict", "risk", "ago", "enough"),
    [
        ("approve", "critical", 30, True),
        ("approve", "critical", 29.5, False),
        ("approve", "critical", 0, False),
        ("approve", "critical", -5, False),
        ("approve", "critical", None, False),
        ("deny", "critical", None, True),  # saying no is never too soon
        ("approve", "high", None, True),
    ],
)
def test_what_is_critical_is_before_them_for_its_seconds(
    verdict: rules.Verdict, risk: str, ago: float | None, enough: bool
) -> None:
    rule = Rule(critical_seconds=30)
    case = rules.Case("pending", NOW, "d", rule, risk=risk)
    since = None if ago is None else NOW - timedelta(seconds=ago)
    assert rules.can_time(case, verdict, since, NOW) is enough
    assert rules.can_time(replace(case, rule=Rule()), verdict, since, NOW)


def hidden(page: str, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]*)"', page)
    assert found, name
    return found[1]


def opened(client: Client, approval: Approval) -> dict[str, str]:
    """What the form to approve carries, once it is open."""
    page = client.get(f"/approvals/{approval.approval_id}/approve").content.decode()
    assert "for 30 seconds" in page
    return {name: hidden(page, name) for name in ("digest", "shown")}


def backdated(approval: Approval, user: Any, seconds: int = 31) -> str:
    return shown.seal(approval, user.id, database_now() - timedelta(seconds=seconds))


@pytest.mark.django_db
def test_what_is_critical_is_approved_only_after_its_seconds(acme: Acme, enter: Any) -> None:
    approval, client = critical(acme), enter(acme.approver)
    address = f"/approvals/{approval.approval_id}/approve"
    answer = client.post(address, opened(client, approval) | {"reason": "It is time."})
    page = answer.content.decode()
    assert (answer.status_code, Approval.objects.get().state) == (422, "pending")
    assert re.search(r"read it for [0-9]+ more seconds, then approve it", page)
    assert "It is time." in page  # nothing that was typed is lost
    again = client.post(address, {"digest": approval.digest, "shown": backdated(approval, acme.approver)})
    assert (again.status_code, Approval.objects.get().state) == (302, "approved")
    told = Event.objects.get(kind="person:review:approve")
    assert 31 <= told.data["read_seconds"] < 60


@pytest.mark.django_db
def test_the_time_runs_from_the_page_on_through_the_form_and_its_refusals(acme: Acme, enter: Any) -> None:
    approval, client = critical(acme), enter(acme.approver)
    page = client.get(f"/approvals/{approval.approval_id}").content.decode()
    sealed = hidden(page, "shown")
    address = f"/approvals/{approval.approval_id}/approve"
    form = client.get(address, {"digest": approval.digest, "shown": sealed}).content.decode()
    assert hidden(form, "shown") == sealed
    refused = client.post(address, {"digest": approval.digest, "shown": sealed})
    assert refused.status_code == 422
    assert hidden(refused.content.decode(), "shown") == sealed


@pytest.mark.django_db
@pytest.mark.parametrize("word", ["", "made up", "of another person", "of another request", "of what it was", "cut"])
def test_nobodys_word_but_the_servers_counts(acme: Acme, enter: Any, word: str) -> None:
    approval, client = critical(acme), enter(acme.approver)
    sealed = {
        "": "",
        "made up": "WyIiXQ:2027-01-01",
        "of another person": backdated(approval, acme.colleague),
        "of another request": backdated(critical(acme), acme.approver),
        "of what it was": backdated(Approval(id=approval.id, digest="0" * 64), acme.approver),
        "cut": backdated(approval, acme.approver)[:-1],
    }[word]
    answer = client.post(
        f"/approvals/{approval.approval_id}/approve", {"digest": approval.digest, "shown": sealed, "reason": ""}
    )
    assert answer.status_code == 422
    assert not Review.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("via", ["slack", "api"])
def test_slack_and_scripts_approve_nothing_that_has_to_be_read_but_may_deny_it(acme: Acme, via: str) -> None:
    approval = critical(acme)
    asked: dict[str, Any] = {"approval_id": approval.id, "by": acme.approver, "organization": acme.organization}
    asked |= {"reason": "no", "digest": approval.digest, "via": via}
    with pytest.raises(Refused, match="approved in the browser only, after 30 seconds with it") as refused:
        services.review(verdict="approve", **asked)
    assert (refused.value.code, refused.value.status) == ("time", 403)
    assert services.review(verdict="deny", **asked).state == "denied"


@pytest.mark.django_db
def test_slack_offers_no_button_for_it(acme: Acme) -> None:
    assert "warden_approve" not in str(card_of(critical(acme), database_now()).blocks)


@pytest.mark.django_db
def test_denying_it_takes_no_time(acme: Acme, enter: Any) -> None:
    approval = critical(acme)
    address = f"/approvals/{approval.approval_id}/deny"
    assert enter(acme.approver).post(address, {"digest": approval.digest, "reason": "no"}).status_code == 302


def test_too_soon_is_told_apart_from_what_is_missing() -> None:
    case = rules.Case("pending", NOW, "d", Rule(critical_seconds=30), risk="critical")
    with pytest.raises(Incomplete, match="for 1 more second, then") as refused:
        rules.check_time(case, "approve", NOW - timedelta(seconds=29), NOW)
    assert refused.value.code == "too_soon"


@pytest.mark.django_db
def test_the_command_and_the_page_set_it_and_the_sentence_says_it(acme: Acme, enter: Any) -> None:
    name, org = "Careful", acme.organization.slug
    call_command("set_approval_rule", name, "--critical-seconds", "20", "--organization", org, stdout=StringIO())
    rule = ApprovalRule.objects.get(name=name)
    assert "What is critical is approved after 20 seconds on its page, no sooner." in rule_sentence(rule.snapshot())
    form = {"token": token(rule), "name": name, "roles": ["approver"], "approvals": 1, "denials": 1, "minutes": 60}
    client = enter(acme.admin)
    assert client.post(f"/permissions/rules/{rule.pk}/", form).status_code == 302
    rule.refresh_from_db()
    assert rule.critical_seconds == 20  # left out, it stays
    form |= {"critical_seconds": "45", "token": token(rule)}
    assert client.post(f"/permissions/rules/{rule.pk}/", form).status_code == 302
    rule.refresh_from_db()
    assert rule.critical_seconds == 45
