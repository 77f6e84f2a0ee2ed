"""Clicks, dialogs and commands: one ladder of rules, whoever clicks and however often it arrives."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client

from approvals.models import Approval, Review
from audit.models import Event
from notifications.models import Delivery, SlackApp, SlackLink
from tests import factories
from tests.slack.conftest import Hand, Office, furnish, labels, words
from tests.slack.fake import Error, FakeSlack


def state(approval: Approval) -> str:
    approval.refresh_from_db()
    return approval.state


def test_request_card_click_decided_and_every_copy_updated(office: Office) -> None:
    approval = office.request(amount="500.00")
    assert office.hand.click("UANN", office.card, "Approve").status_code == 200
    assert state(approval) == "approved"
    review = Review.objects.get()
    assert (review.user, review.via, review.digest) == (office.acme.approver, "slack", approval.digest)
    office.deliver()
    assert labels(office.card) == []
    assert f"Approved by {office.acme.approver.email}" in words(office.card)


def test_deny_opens_a_dialog_and_the_reason_is_kept(office: Office) -> None:
    approval = office.request()
    office.hand.click("UANN", office.card, "Deny")
    assert state(approval) == "pending"
    (view,) = office.slack.views
    assert view["private_metadata"] == f"{approval.approval_id} {approval.digest}"
    answer = office.hand.submit("UANN", view, "Not today")
    assert answer.json()["response_action"] == "update"
    assert state(approval) == "denied"
    assert approval.reason == "Not today"


def test_approve_asks_for_a_reason_where_the_rule_demands_one(office: Office) -> None:
    approval = office.request(rule={"reason_to_approve": True})
    office.hand.click("UANN", office.card, "Approve")
    assert state(approval) == "pending"
    (view,) = office.slack.views
    answer = office.hand.submit("UANN", view, "  ")
    assert answer.json() == {
        "response_action": "errors",
        "errors": {"reason": "Say why you approve this; the agent and the record keep it."},
    }
    assert state(approval) == "pending"
    office.hand.submit("UANN", view, "I asked the customer")
    assert state(approval) == "approved"


def test_approve_is_confirmed_where_no_reason_is_demanded(office: Office) -> None:
    office.request(amount="500.00")
    (actions,) = [block for block in office.card["blocks"] if block["type"] == "actions"]
    assert "$500.00" in actions["elements"][0]["confirm"]["text"]["text"]


def test_a_quorum_needs_two_people_and_says_so(office: Office) -> None:
    approval = office.request(rule={"approvals": 2})
    office.hand.click("UANN", office.card, "Approve")
    assert state(approval) == "pending"
    assert "Others have to decide too" in words(office.slack.whispers[-1])
    office.hand.click("UANN", office.card, "Approve")
    assert state(approval) == "pending"
    office.hand.click("UBOB", office.card, "Approve")
    assert state(approval) == "approved"


def test_a_click_on_a_card_that_was_decided_first_is_told_what_happened(office: Office) -> None:
    approval = office.request()
    card = office.card
    office.hand.click("UANN", card, "Approve")
    office.hand.click("UBOB", card, "Deny")
    assert not office.slack.views
    assert f"already approved by {office.acme.approver.email}" in words(office.slack.whispers[-1])
    assert state(approval) == "approved"


def test_a_dialog_that_was_overtaken_keeps_what_was_typed_and_says_why(office: Office) -> None:
    approval = office.request()
    office.hand.click("UBOB", office.card, "Deny")
    office.hand.click("UANN", office.card, "Approve")
    answer = office.hand.submit("UBOB", office.slack.views[0], "Too late?")
    assert "already approved" in answer.json()["errors"]["reason"]
    assert state(approval) == "approved"


def test_another_digest_decides_nothing(office: Office) -> None:
    approval = office.request()
    payload = office.hand.clicked("UANN", office.card, "Approve")
    payload["actions"][0]["value"] = f"{approval.approval_id} {'0' * 64}"
    office.hand.interact(payload)
    assert state(approval) == "pending"
    assert "not the request you were shown" in words(office.slack.whispers[-1])


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"assurance": "browser"}, "decided in the browser only"),
        ({"assurance": "stepup"}, "needs your second factor"),
        ({"confirm_critical": True}, "type stripe.refund.large to approve it"),
        ({"critical_seconds": 5}, "approved in the browser only, after 5 seconds with it"),
    ],
)
def test_a_click_is_refused_where_the_rule_wants_more_though_no_card_offers_one(
    office: Office, rule: dict[str, object], said: str
) -> None:
    office.request()
    payload = office.hand.clicked("UANN", office.card, "Approve")
    approval = office.request(rule={"confirm_critical": False} | rule, risk="critical")
    payload["actions"][0]["value"] = f"{approval.approval_id} {approval.digest}"
    office.hand.interact(payload)
    assert state(approval) == "pending"
    assert said in words(office.slack.whispers[-1])
    assert not Review.objects.exists()


def test_a_request_past_its_deadline_is_not_decided(office: Office) -> None:
    approval = office.request()
    Approval.objects.update(expires_at=approval.created_at)
    office.hand.click("UANN", office.card, "Approve")
    assert state(approval) == "expired"
    assert "expired" in words(office.slack.whispers[-1])


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"is_restricted": True}, "guest"),
        ({"is_ultra_restricted": True}, "guest"),
        ({"is_bot": True}, "bot"),
        ({"deleted": True}, "deactivated"),
        ({"is_stranger": True}, "another organization"),
        ({"team_id": "T0ELSE"}, "another organization"),
    ],
)
@pytest.mark.parametrize("label", ["Approve", "Deny"])
def test_guests_outsiders_bots_and_the_deactivated_decide_nothing(
    office: Office, facts: dict[str, object], said: str, label: str
) -> None:
    approval = office.request()
    office.slack.user("UANN", **facts)
    assert office.hand.click("UANN", office.card, label).status_code == 200
    assert said in words(office.slack.whispers[-1])
    assert not office.slack.views
    assert state(approval) == "pending"


def test_where_slack_does_not_say_who_it_is_nothing_is_decided(office: Office) -> None:
    approval = office.request()
    office.slack.fail("users.info", Error("internal_error", status=500))
    assert office.hand.click("UANN", office.card, "Approve").status_code == 200
    assert state(approval) == "pending"
    assert "does not say who you are" in words(office.slack.whispers[-1])


def test_viewer_owner_of_the_agent_and_stranger_cannot_decide(office: Office) -> None:
    approval = office.request()
    for user, name, said in (
        (office.acme.viewer, "UVIEW", "your role is viewer"),
        (office.acme.owner, "UOWN", "You own this agent"),
        (office.acme.stranger, "USTR", "not a member"),
    ):
        office.link(user, name)
        office.hand.click(name, office.card, "Approve")
        assert said in words(office.slack.whispers[-1])
        office.hand.click(name, office.card, "Deny")
        assert not office.slack.views
    assert state(approval) == "pending"


def test_somebody_who_left_the_company_cannot_decide(office: Office) -> None:
    approval = office.request()
    office.acme.approver.is_active = False
    office.acme.approver.save(update_fields=["is_active"])
    office.hand.click("UANN", office.card, "Approve")
    assert state(approval) == "pending"


def test_a_paused_organization_decides_nothing(office: Office) -> None:
    approval = office.request()
    factories.a_stop(office.acme.organization)
    office.hand.click("UANN", office.card, "Approve")
    assert state(approval) == "pending"
    assert "paused" in words(office.slack.whispers[-1])


def test_another_organizations_request_is_not_there(office: Office) -> None:
    office.request()
    other = factories.an_approval(agent=factories.an_agent(factories.an_organization()))
    payload = office.hand.clicked("UANN", office.card, "Approve")
    payload["actions"][0]["value"] = f"{other.approval_id} {other.digest}"
    office.hand.interact(payload)
    assert state(other) == "pending"
    assert "not in Warden" in words(office.slack.whispers[-1])


def test_the_vote_is_committed_although_slack_hears_no_word_of_ours(office: Office) -> None:
    approval = office.request()
    payload = office.hand.clicked("UANN", office.card, "Approve") | {"response_url": "https://evil.example/x"}
    office.slack.fail("chat.postEphemeral", Error("internal_error", status=500))
    assert office.hand.interact(payload).status_code == 200
    assert state(approval) == "approved"


def test_a_dialog_that_slack_does_not_open_is_said(office: Office) -> None:
    office.request()
    payload = office.hand.clicked("UANN", office.card, "Deny") | {"trigger_id": "too.late"}
    assert office.hand.interact(payload).status_code == 200
    assert "did not open the dialog" in words(office.slack.whispers[-1])


@pytest.mark.parametrize("label", ["Approve", "Deny"])
def test_slack_is_answered_within_three_seconds_however_slow_it_is_itself(office: Office, label: str) -> None:
    approval = office.request()
    office.slack.slow = {"users.info": 0.8, "views.open": 5, "response": 5, "chat.postEphemeral": 5}
    payload, began = office.hand.clicked("UANN", office.card, label), time.monotonic()
    assert office.hand.interact(payload).status_code == 200
    assert time.monotonic() - began < 3
    assert state(approval) == ("approved" if label == "Approve" else "pending")


def test_a_dialog_of_somebody_unlinked_meanwhile_says_how_to_link(office: Office) -> None:
    approval = office.request()
    office.hand.click("UANN", office.card, "Deny")
    SlackLink.objects.filter(slack_user_id="UANN").delete()
    answer = office.hand.submit("UANN", office.slack.views[0], "No")
    assert "Click the button on the card again" in answer.json()["errors"]["reason"]
    assert state(approval) == "pending"


def test_on_an_enterprise_grid_the_enterprise_is_part_of_who_somebody_is(office: Office) -> None:
    approval = office.request()
    office.slack.enterprise = "E0GRID"
    SlackApp.objects.update(enterprise_id="E0GRID")
    office.hand.click("UANN", office.card, "Approve")  # linked in a workspace of the same name, outside of the Grid
    assert "does not know who you are" in words(office.slack.whispers[-1])
    assert state(approval) == "pending"
    SlackLink.objects.filter(slack_user_id="UANN").update(enterprise_id="E0GRID")
    office.hand.click("UANN", office.card, "Approve", enterprise={"id": "E0ELSE"})
    assert state(approval) == "pending"
    office.hand.click("UANN", office.card, "Approve")
    assert state(approval) == "approved"


def test_slash_warden_lists_what_waits_for_me(office: Office) -> None:
    assert "Nothing waits" in words(office.hand.type("UANN"))
    mine = office.request(amount="12.00", context={"customer_id": "cus_9"})
    answer = office.hand.type("UANN")
    assert answer.json()["response_type"] == "ephemeral"
    assert "refund $12.00 to cus_9" in words(answer)
    assert mine.approval_id in str(answer.json())
    office.link(office.acme.owner, "UOWN")
    assert "Nothing waits" in words(office.hand.type("UOWN"))


def test_the_app_is_disabled_once_it_is_removed(office: Office) -> None:
    approval = office.request()
    assert office.hand.event(type="app_uninstalled").status_code == 200
    office.app.refresh_from_db()
    assert not office.app.is_active
    assert Event.objects.filter(kind="system:slack:disable").count() == 1
    office.deliver()
    told = Delivery.objects.filter(event="channel.disabled").values_list("address", flat=True)
    assert set(told) == {office.acme.owner.email, office.acme.admin.email}
    assert "was removed from the workspace" in Delivery.objects.filter(event="channel.disabled")[0].text
    assert office.hand.click("UANN", office.card, "Approve").status_code == 401
    assert state(approval) == "pending"


def test_a_revoked_bot_token_disables_the_app_and_a_persons_own_does_not(office: Office) -> None:
    office.hand.event(type="tokens_revoked", tokens={"oauth": ["UANN"], "bot": []})
    assert SlackApp.objects.get().is_active
    office.hand.event(type="tokens_revoked", tokens={"oauth": [], "bot": ["U0BOT"]})
    assert not SlackApp.objects.get().is_active


@pytest.mark.django_db(transaction=True)
def test_a_thousand_deliveries_of_clicks_duplicated_and_shuffled_have_one_effect_each(
    slack: FakeSlack, client: Client
) -> None:
    """I7: ten requests, each approved by one and denied by another, every call delivered fifty times in any order."""
    office = furnish(slack, client)
    approvals = [office.request() for _ in range(10)]
    cards = {each["blocks"][-1]["elements"][0]["value"].split()[0]: each for each in slack.posted()}
    calls = []
    for approval in approvals:
        card = cards[approval.approval_id]
        dialog = {"callback_id": "warden_deny", "private_metadata": f"{approval.approval_id} {approval.digest}"}
        calls += [office.hand.clicked("UANN", card, "Approve"), office.hand.submitted("UBOB", dialog, "No")]
    now = int(time.time())
    deliveries = [(payload, str(now - copy % 5)) for payload in calls for copy in range(50)]  # signed five times each
    random.Random(7).shuffle(deliveries)

    def deliver(payload: dict[str, object], timestamp: str) -> int:
        try:
            hand, retry = Hand(slack, Client()), {"X-Slack-Retry-Num": "1"}
            return hand.interact(payload, timestamp=timestamp, headers=retry).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda each: deliver(*each), deliveries))
    assert len(statuses) == 1_000
    assert set(statuses) == {200}
    assert Review.objects.count() == 10
    for approval in approvals:
        assert state(approval) in ("approved", "denied")
        decided = Event.objects.filter(target=approval.approval_id, kind__startswith="person:approval:")
        assert decided.count() == 1
    office.deliver()
    assert all(labels(card) == [] for card in slack.posted())


def test_an_unlinked_person_is_told_how_links_by_logging_in_and_then_decides(office: Office, client: Client) -> None:
    approval = office.request()
    office.slack.user("UNEW", real_name="Admin of Acme", email=office.acme.admin.email)
    office.hand.click("UNEW", office.card, "Approve")
    assert state(approval) == "pending"  # the same e-mail address is no link
    whisper = office.slack.whispers[-1]
    url = whisper["blocks"][1]["elements"][0]["url"].removeprefix("http://127.0.0.1:8000")
    assert client.get(url).status_code == 302  # to the log-in
    client.force_login(office.acme.admin, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get(url)
    assert "Admin of Acme" in page.content.decode()
    assert not SlackLink.objects.filter(slack_user_id="UNEW").exists()  # a GET links nobody
    assert client.post(url).status_code == 200
    assert SlackLink.objects.get(slack_user_id="UNEW").user == office.acme.admin
    assert client.post(url).status_code == 410  # once
    assert Event.objects.filter(kind="person:slack:link", organization_id=office.acme.organization.id).count() == 1
    client.logout()
    office.hand.click("UNEW", office.card, "Approve")
    assert state(approval) == "approved"
