"""A card: posted once, drawn from the database, changed wherever the request ends."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction

from accounts.by import COMMAND_LINE
from approvals import containment, services
from approvals.models import Approval
from notifications import delivery
from notifications.models import Announcement, Channel, Delivery, SlackPost
from notifications.outbox import announce
from tests import factories, hostile
from tests.slack.conftest import Office, labels, words
from tests.slack.fake import Error


def decide(approval: Approval, office: Office, verdict: str = "approve", reason: str = "") -> None:
    services.review(
        approval_id=approval.id,
        by=office.acme.approver,
        organization=office.acme.organization,
        verdict=verdict,  # type: ignore[arg-type]
        reason=reason,
        digest=approval.digest,
        via="browser",
    )


def test_a_request_becomes_a_card_that_says_everything(office: Office) -> None:
    approval = office.request(
        amount="500.00", context={"customer_id": "cus_1"}, reasoning="They asked for it.", risk="high"
    )
    said = words(office.card)
    for part in (
        "support-bot wants to refund $500.00 to cus_1",
        "high",
        "stripe.refund.large",
        '"customer_id": "cus_1"',
        "in the agent's own words, unverified",
        "They asked for it.",
        "1 approval, by",
    ):
        assert part in said
    assert labels(office.card) == ["Approve", "Deny", "Open in Warden"]
    (post,) = SlackPost.objects.all()
    assert (post.target, post.ts, post.slack_channel) == (approval.approval_id, office.card["ts"], "C0OPS")


def test_no_card_before_the_row_exists(office: Office) -> None:
    with transaction.atomic():
        approval = factories.an_approval(agent=office.acme.bot)
        announce([(approval.organization_id, "live", "approval.requested", approval.approval_id)])
        transaction.set_rollback(True)
    office.deliver()
    assert not office.slack.calls


def test_buttons_carry_the_id_and_the_digest_and_nothing_else(office: Office) -> None:
    approval = office.request()
    values = [
        element["value"]
        for block in office.card["blocks"]
        for element in block.get("elements", [])
        if "value" in element
    ]
    assert values == [f"{approval.approval_id} {approval.digest}"] * 2


def test_decided_in_the_browser_the_card_says_who_when_and_why(office: Office) -> None:
    approval = office.request()
    decide(approval, office, "deny", "Not without <a> ticket")
    office.deliver()
    assert labels(office.card) == []
    assert f"Denied by {office.acme.approver.email} at " in words(office.card)
    assert "Not without &lt;a&gt; ticket" in words(office.card)


def test_a_claimed_card_says_so(office: Office) -> None:
    approval = office.request()
    decide(approval, office)
    Approval.objects.filter(id=approval.id).update(claimed_at=approval.created_at)
    with transaction.atomic():
        announce([(approval.organization_id, "live", "approval.claimed", approval.approval_id)])
    office.deliver()
    assert "The agent took it at" in words(office.card)


def expire(approval: Approval, office: Office) -> None:
    Approval.objects.filter(id=approval.id).update(expires_at=approval.created_at - timedelta(seconds=1))
    assert services.expire_due() == 1


def ban(approval: Approval, office: Office) -> None:
    containment.follow_ban(agent=office.acme.bot, by=COMMAND_LINE)


def click(approval: Approval, office: Office) -> None:
    office.hand.click("UANN", office.card, "Approve")


def dialog(approval: Approval, office: Office) -> None:
    office.hand.click("UANN", office.card, "Deny")
    office.hand.submit("UANN", office.slack.views[0], "Not today")


ENDINGS: dict[Callable[[Approval, Office], None], str] = {
    click: "Approved by ",
    dialog: "Denied by ",
    decide: "Approved by ",
    partial(decide, verdict="deny", reason="No"): "Denied by ",
    expire: "nobody decided in time",
    ban: "Its agent was banned",
}


@pytest.mark.parametrize(("end", "said"), ENDINGS.items(), ids=range(len(ENDINGS)))
def test_every_copy_follows_every_ending_whatever_the_filters_of_channels(
    office: Office, end: Callable[[Approval, Office], None], said: str
) -> None:
    office.slack.channels.add("C0TWO")
    Channel.objects.create(
        organization=office.acme.organization,
        transport="slack",
        name="Two",
        address="C0TWO",
        events=["approval.requested"],
    )
    Channel.objects.filter(id=office.channel.id).update(events=["approval.requested"])
    approval = office.request()
    assert len(office.slack.posted()) == len(office.slack.posted("C0TWO")) == 1
    end(approval, office)
    office.deliver()
    for channel in ("C0OPS", "C0TWO"):
        (card,) = office.slack.posted(channel)
        assert labels(card) == []
        assert said in words(card)


def test_an_update_that_changes_nothing_is_not_sent(office: Office) -> None:
    approval = office.request()
    decide(approval, office)
    office.deliver()
    assert len(office.slack.called("chat.update")) == 1
    with transaction.atomic():
        announce([(approval.organization_id, "live", "approval.approved", approval.approval_id)])
    office.deliver()
    assert len(office.slack.called("chat.update")) == 1


@pytest.mark.django_db(transaction=True)
def test_decided_while_the_card_was_on_its_way_it_is_updated_at_once(office: Office) -> None:
    """The news of the decision finds no card yet: whoever posts it looks again."""

    def meanwhile() -> None:
        decide(Approval.objects.get(), office)
        while delivery.fan_out():
            pass
        connection.close()

    office.slack.fail("chat.postMessage", meanwhile)
    office.request()
    assert Approval.objects.get().state == "approved"
    assert labels(office.card) == []


def test_a_worker_killed_between_post_and_record_posts_no_second_card(office: Office) -> None:
    office.slack.fail("chat.postMessage", Error("", cut=True))
    approval = office.request()
    assert len(office.slack.posted()) == 1
    assert not SlackPost.objects.exists()
    Delivery.objects.update(due_at=approval.created_at)
    assert not office.deliver()
    assert len(office.slack.posted()) == 1
    assert SlackPost.objects.get().ts == office.card["ts"]
    decide(approval, office)
    office.deliver()
    assert labels(office.card) == []


def test_a_card_that_was_never_recorded_is_remembered_by_the_first_click(office: Office) -> None:
    approval = office.request()
    card = office.card
    SlackPost.objects.all().delete()
    office.hand.click("UANN", card, "Approve")
    office.deliver()
    assert labels(office.card) == []
    assert SlackPost.objects.get().target == approval.approval_id


def test_a_card_that_somebody_deleted_is_forgotten(office: Office) -> None:
    approval = office.request()
    office.slack.messages["C0OPS"].clear()
    decide(approval, office)
    assert office.deliver() == []
    assert not SlackPost.objects.exists()


def test_slack_that_asks_to_wait_is_waited_for(office: Office) -> None:
    office.slack.fail("chat.postMessage", Error("ratelimited", status=429, headers={"Retry-After": "77"}))
    office.request()
    (due,) = Delivery.objects.filter(transport="slack")
    assert due.state == "due"
    assert (due.due_at - due.created_at).total_seconds() > 76
    Delivery.objects.update(due_at=due.created_at)
    office.deliver()
    assert len(office.slack.posted()) == 1


def test_meanwhile_slack_is_asked_for_nothing_else(office: Office) -> None:
    office.slack.fail("chat.postMessage", Error("ratelimited", status=429, headers={"Retry-After": "30"}))
    with transaction.atomic():
        for _ in range(5):
            approval = factories.an_approval(agent=office.acme.bot)
            announce([(approval.organization_id, "live", "approval.requested", approval.approval_id)])
    office.deliver()
    assert len(office.slack.called("chat.postMessage")) == 1
    waits = [(row.due_at - row.created_at).total_seconds() for row in Delivery.objects.filter(transport="slack")]
    assert all(25 < wait < 35 for wait in waits)
    assert len(waits) == 5


@pytest.mark.parametrize("code", ["channel_not_found", "is_archived"])
def test_a_channel_that_is_gone_is_disabled_with_words(office: Office, code: str) -> None:
    office.slack.fail("chat.postMessage", Error(code))
    office.request()
    office.channel.refresh_from_db()
    office.app.refresh_from_db()
    assert not office.channel.is_active
    assert "hannel" in office.channel.disabled_because
    assert office.app.is_active


@pytest.mark.parametrize("code", ["invalid_auth", "token_revoked", "account_inactive"])
def test_a_void_token_disables_the_app_too(office: Office, code: str) -> None:
    office.slack.fail("chat.postMessage", Error(code))
    office.request()
    office.app.refresh_from_db()
    assert not office.app.is_active
    assert "Connect Slack again" in office.app.disabled_because


def test_an_error_that_passes_is_tried_again(office: Office) -> None:
    office.slack.fail("chat.postMessage", Error("internal_error", status=503))
    office.request()
    assert Delivery.objects.get(transport="slack").state == "due"


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_what_a_hostile_agent_writes_stays_text(office: Office, text: str) -> None:
    office.request(
        action="email.send",
        context={"to": text, text[:40]: text},
        reasoning=text.replace("\0", ""),
        environment="production",
    )
    card = office.card
    for part in _strings(card["blocks"]):
        assert not hostile.INVISIBLE.search(part)
        assert "<" not in part
        assert ">" not in part
    assert all(each["type"] == "plain_text" for each in _objects(card["blocks"]) if "text" in each and "emoji" in each)
    assert "mrkdwn" not in str(card["blocks"])


@pytest.mark.parametrize(
    "text", ["<!channel> <@U0BOT>", "@here #general", "*bold* `code` :fire: <https://evil.example|ok>"]
)
def test_no_mention_no_markup_no_link_comes_alive(office: Office, text: str) -> None:
    office.request(context={"customer_id": text}, amount="5.00")
    card = office.card
    assert {each["type"] for each in _objects(card["blocks"])} <= {
        "plain_text",
        "section",
        "context",
        "actions",
        "button",
    }
    assert all(each["emoji"] is False for each in _objects(card["blocks"]) if each["type"] == "plain_text")
    assert (card["parse"], card["link_names"], card["unfurl_links"]) == ("none", False, False)
    assert "<" not in words(card)


def test_too_long_to_show_whole_it_is_decided_in_warden_only(office: Office) -> None:
    office.request(context={"customer_id": "cus_1", "body": "x" * 3_000})
    assert labels(office.card) == ["Open in Warden"]
    assert "Too long for Slack" in words(office.card)


def test_the_longest_that_fits_is_whole(office: Office) -> None:
    context = {"body": "&" * 590}  # five characters each, once escaped
    office.request(context=context)
    assert "&amp;" * 590 in words(office.card)
    assert "Approve" in labels(office.card)


def test_parts_that_each_fit_and_are_too_much_together_are_decided_in_warden(office: Office) -> None:
    """Slack refuses a message of more than about 13,000 characters, however they are spread over blocks."""
    office.request(context={f"k{number}": "" for number in range(200)}, reasoning='"' * 2_900, callee='"' * 1_900)
    assert labels(office.card) == ["Open in Warden"]


def test_characters_that_slack_may_count_twice_are_counted_twice(office: Office) -> None:
    office.request(context={"body": "\U0001f4a9" * 1_600})
    assert labels(office.card) == ["Open in Warden"]


def test_long_reasons_keep_no_card_from_its_ending(office: Office) -> None:
    approval = office.request(
        context={"body": "x" * 2_900}, reasoning="y" * 2_900, callee="z" * 1_900, rule={"approvals": 2}
    )
    assert "Approve" in labels(office.card)
    for person in (office.acme.approver, office.acme.colleague):
        services.review(
            approval_id=approval.id,
            by=person,
            organization=office.acme.organization,
            verdict="approve",
            reason="r" * 2_000,
            digest=approval.digest,
            via="browser",
        )
    assert office.deliver() == []
    assert labels(office.card) == []
    assert "rrr" in words(office.card)


def test_a_test_request_says_so_and_stays_out_of_live_channels(office: Office) -> None:
    office.request(mode="test")
    assert not office.slack.posted()
    Channel.objects.filter(id=office.channel.id).update(mode="test")
    office.request(mode="test")
    assert "[Test] support-bot" in words(office.card)


def test_a_request_that_ended_before_slack_was_reached_is_not_posted(office: Office) -> None:
    office.slack.fail("chat.postMessage", Error("internal_error", status=503))
    approval = office.request()
    decide(approval, office)
    Delivery.objects.update(due_at=approval.created_at)
    office.deliver()
    assert not office.slack.posted()
    assert not Delivery.objects.filter(transport="slack", state="due").exists()


def test_two_workers_post_one_card(office: Office) -> None:
    with transaction.atomic():
        approval = factories.an_approval(agent=office.acme.bot)
        announce([(approval.organization_id, "live", "approval.requested", approval.approval_id)] * 2)
    assert Announcement.objects.count() == 2
    while delivery.fan_out():
        pass
    for each in Delivery.objects.filter(transport="slack"):
        delivery.deliver(each.id)
    assert len(office.slack.posted()) == 1


def _objects(value: object) -> list[dict[str, object]]:
    if isinstance(value, dict):
        inner = [each for child in value.values() for each in _objects(child)]
        return [value, *inner] if "type" in value else inner
    return [each for child in value for each in _objects(child)] if isinstance(value, list) else []


def _strings(value: object) -> list[str]:
    return [str(each["text"]) for each in _objects(value) if each["type"] == "plain_text"]
