"""From an announcement to a mail: to everybody it concerns, at least once, whatever breaks in between."""

import socket
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import Membership
from approvals.models import Approval
from audit.clock import database_now
from notifications import delivery, fanning
from notifications.models import Announcement, Delivery, Preference
from notifications.outbox import announce
from tests import factories
from tests.approvals.conftest import Acme, make_acme
from tests.notifications.conftest import Desk
from tests.notifications.sending import a_channel

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme() -> Acme:
    return make_acme()


def requested(acme: Acme, **fields: Any) -> Approval:
    """A request, announced as the gateway does."""
    approval = factories.an_approval(agent=acme.bot, **fields)
    with transaction.atomic():
        announce([(approval.organization_id, approval.mode, "approval.requested", approval.approval_id)])
    return approval


def send_all() -> int:
    """One sweep, without Celery in between. Returns how many were handed over."""
    while delivery.fan_out():
        pass
    return sum(delivery.deliver(delivery_id) for delivery_id in delivery.due())


def make_due() -> None:
    """Time passes: every wait and every lease is over."""
    past = database_now() - timedelta(seconds=1)
    Delivery.objects.filter(state="due").update(due_at=past)
    Delivery.objects.exclude(leased_until=None).update(leased_until=past)


def test_a_request_is_mailed_to_everybody_who_may_decide_it_and_to_nobody_else(acme: Acme, smtp: Desk) -> None:
    requested(acme, amount="500", context={"customer_id": "cus_1"})
    assert send_all() == 3
    able = [acme.admin.email, acme.approver.email, acme.colleague.email]
    assert sorted(smtp.recipients) == sorted(able)  # not the owner, who owns the bot; nobody who only reads
    assert {message["To"] for message in smtp.inbox} == set(able)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}
    assert send_all() == 0


def test_the_mail_says_what_is_asked_and_where_to_decide(acme: Acme, smtp: Desk, settings: Any) -> None:
    approval = requested(acme, amount="500", context={"customer_id": "cus_1"}, risk="high")
    send_all()
    message = smtp.inbox[0]
    assert message["Subject"] == "support-bot wants to refund $500.00 to cus_1"
    assert message["Auto-Submitted"] == "auto-generated"
    body = message.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    for words in ("stripe.refund.large", "$500.00", "high", approval.approval_id):
        assert words in text
    page = f"{settings.SITE_URL}/approvals/{approval.approval_id}"
    assert [line.rpartition(" ")[2] for line in text.splitlines() if "://" in line] == [
        page,
        f"{page}/approve",
        f"{page}/deny",
        f"{settings.SITE_URL}/settings/notifications",
    ]


def test_a_test_says_that_it_is_one_to_those_who_want_to_hear_of_tests(acme: Acme, smtp: Desk) -> None:
    member = Membership.objects.get(user=acme.approver)
    Preference.objects.create(membership=member, test_mode=True)
    requested(acme, mode="test")
    send_all()
    assert [message["To"] for message in smtp.inbox] == [acme.approver.email]
    assert smtp.inbox[0]["Subject"].strip().startswith("[Test] ")
    assert set(Delivery.objects.values_list("mode", flat=True)) == {"test"}


def test_what_an_agent_wrote_can_neither_break_the_mail_nor_hide_in_it(acme: Acme, smtp: Desk) -> None:
    text = "cus_1\r\nBcc: evil@example.com\r\n\r\nApproved by the CFO\u202e\u200b" + "x" * 300
    requested(acme, amount="1", context={"customer_id": text})
    send_all()
    assert sorted(smtp.recipients) == sorted([acme.admin.email, acme.approver.email, acme.colleague.email])
    message = smtp.inbox[0]
    assert message["Bcc"] is None
    part = message.get_body(("plain",))
    assert part is not None
    body = part.get_content()
    assert "⟨U+000D⟩⟨U+000A⟩Bcc: evil@example.com" in body
    assert not any(line.startswith(("Bcc", "Approved")) for line in body.splitlines())
    assert "\u202e" not in body


def test_what_was_decided_meanwhile_is_not_asked_for(acme: Acme, smtp: Desk) -> None:
    approval = requested(acme)
    Approval.objects.filter(pk=approval.pk).update(state="cancelled", decided_at=database_now())
    assert send_all() == 0
    assert Announcement.objects.get().fanned_out_at is not None


def test_how_it_ended_is_no_mail(acme: Acme, smtp: Desk) -> None:
    approval = factories.an_approval(agent=acme.bot)
    with transaction.atomic():
        announce([(approval.organization_id, "live", "approval.approved", approval.approval_id)])
    assert send_all() == 0
    assert not Announcement.objects.filter(fanned_out_at=None).exists()


def test_one_that_cannot_be_worked_out_does_not_keep_the_others_from_being_told(acme: Acme, smtp: Desk) -> None:
    with transaction.atomic():
        announce([(acme.organization.id, "live", "approval.requested", "not an approval")])
    requested(acme)
    assert send_all() == 3
    assert Announcement.objects.get(fanned_out_at=None).target == "not an approval"  # left, and logged each time


def test_any_number_that_cannot_be_worked_out_keep_nobody_from_being_told(acme: Acme, smtp: Desk) -> None:
    with transaction.atomic():
        announce([(acme.organization.id, "live", "approval.requested", f"not an approval {n}") for n in range(5)])
    requested(acme)
    assert delivery.fan_out(2) == 1
    assert delivery.fan_out(2) == 0
    assert delivery.send_due(2) == 2  # a sweep goes on in turns
    assert delivery.send_due(2) == 1
    assert delivery.send_due(2) == 0
    assert len(smtp.inbox) == 3


def test_news_is_only_told_of_what_is_committed(acme: Acme) -> None:
    with pytest.raises(RuntimeError, match="outside a transaction"):
        announce([(acme.organization.id, "live", "approval.requested", "apr_x")])


def test_a_worker_that_died_before_sending_holds_a_message_no_longer_than_its_lease(acme: Acme, smtp: Desk) -> None:
    requested(acme)
    delivery.fan_out()
    first = delivery.due()[0]
    assert delivery._take(first) is not None  # and here the worker is killed
    assert first not in delivery.due()
    assert delivery.deliver(first) is False
    Delivery.objects.filter(pk=first).update(leased_until=database_now() - timedelta(milliseconds=1))
    assert delivery.deliver(first) is True
    assert Delivery.objects.get(pk=first).attempts == 2


def test_a_worker_that_died_after_sending_sends_again_recognizably(
    acme: Acme, smtp: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested(acme)
    delivery.fan_out()
    first = delivery.due()[0]
    send = delivery.TRANSPORTS["email"]

    def send_and_die(message: Delivery) -> str:
        send(message)
        raise SystemExit(9)

    monkeypatch.setitem(delivery.TRANSPORTS, "email", send_and_die)
    with pytest.raises(SystemExit):
        delivery.deliver(first)
    monkeypatch.setitem(delivery.TRANSPORTS, "email", send)
    make_due()
    assert delivery.deliver(first) is True
    twice = [message["Message-ID"] for message in smtp.inbox]
    assert len(twice) == 2
    assert len(set(twice)) == 1


def test_a_worker_that_lost_its_lease_does_not_overwrite_what_came_after(
    acme: Acme, smtp: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested(acme)
    delivery.fan_out()
    first = delivery.due()[0]
    send = delivery.TRANSPORTS["email"]

    def slow(message: Delivery) -> str:
        """While this one hangs, its lease ends and another worker sends."""
        monkeypatch.setitem(delivery.TRANSPORTS, "email", send)
        Delivery.objects.filter(pk=first).update(leased_until=database_now() - timedelta(milliseconds=1))
        assert delivery.deliver(first) is True
        raise delivery.TransportError("timed out", permanent=True)

    monkeypatch.setitem(delivery.TRANSPORTS, "email", slow)
    assert delivery.deliver(first) is False
    assert Delivery.objects.get(pk=first).state == "sent"


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("451 try later", "due"),
        ("421 going down", "due"),
        ("554 spam", "failed"),
        ("550 no such user", "failed"),
        ("535 log in first", "due"),  # our fault, and mended by us
    ],
)
def test_a_refusal_is_final_only_when_trying_again_cannot_help(acme: Acme, smtp: Desk, answer: str, state: str) -> None:
    requested(acme)
    delivery.fan_out()
    first = delivery.due()[0]
    smtp.answers = [answer]
    assert delivery.deliver(first) is False
    row = Delivery.objects.get(pk=first)
    assert (row.state, row.leased_until, row.attempts) == (state, None, 1)
    assert answer in row.error
    if state == "due":
        assert row.due_at > database_now()
        make_due()
        assert delivery.deliver(first) is True
        assert Delivery.objects.get(pk=first).error == ""


def test_a_refused_recipient_does_not_hold_up_the_others(acme: Acme, smtp: Desk) -> None:
    smtp.refused = {acme.approver.email: "550 5.1.1 no such mailbox"}
    requested(acme)
    assert send_all() == 2
    lost = Delivery.objects.get(state="failed")
    assert lost.address == acme.approver.email
    assert "550" in lost.error


def test_a_server_that_is_away_is_waited_for(acme: Acme, settings: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    options = {"host": "127.0.0.1", "port": port, "timeout": 2}
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}}
    for _ in range(3):
        requested(acme)
    assert send_all() == 0
    tried = sorted(Delivery.objects.values_list("attempts", "error"))
    assert [attempts for attempts, _ in tried] == [0] * (len(tried) - 1) + [1]  # one found out, for all of them
    assert "could not be reached" in tried[-1][1]
    assert not Delivery.objects.filter(due_at__lte=database_now()).exists()
    assert not Delivery.objects.filter(due_at__gt=database_now() + delivery.FIRST_WAIT).exists()


def test_after_the_last_attempt_it_is_given_up_visibly(acme: Acme, smtp: Desk) -> None:
    requested(acme)
    delivery.fan_out()
    first = delivery.due()[0]
    smtp.answers = ["451 later"] * 100
    for _ in range(delivery.ATTEMPTS):
        make_due()
        delivery.deliver(first)
    row = Delivery.objects.get(pk=first)
    assert (row.state, row.attempts) == ("failed", delivery.ATTEMPTS)
    make_due()
    assert first not in delivery.due()


def test_a_message_that_kills_every_worker_is_given_up_too(acme: Acme, smtp: Desk) -> None:
    requested(acme)
    delivery.fan_out()
    first = delivery.due()[0]
    for _ in range(delivery.ATTEMPTS):
        make_due()
        assert delivery._take(first) is not None
    make_due()
    assert delivery.deliver(first) is False
    row = Delivery.objects.get(pk=first)
    assert (row.state, row.error) == ("failed", "Every attempt ended without an answer.")


def test_waits_double_with_jitter_and_are_never_longer_than_an_hour() -> None:
    for attempts in range(1, 20):
        longest = min(timedelta(seconds=10) * 2 ** (attempts - 1), timedelta(hours=1))
        waits = {delivery.wait(attempts) for _ in range(50)}
        assert len(waits) > 1
        assert all(longest / 2 <= wait <= longest for wait in waits)


def test_any_number_of_workers_owe_and_send_each_message_once(acme: Acme, smtp: Desk) -> None:
    for _ in range(5):
        requested(acme)
    ready = threading.Barrier(4)

    def work(_: int) -> int:
        try:
            ready.wait(timeout=30)
            return send_all()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 15
    assert Delivery.objects.count() == len(smtp.inbox) == 15
    assert len({message["Message-ID"] for message in smtp.inbox}) == 15


def test_an_event_nobody_registered_for_concerns_nobody(acme: Acme) -> None:
    unheard = Announcement(organization=acme.organization, mode="live", event="weather.changed", target="")
    assert fanning.owed(unheard, database_now()) == []
    assert delivery.deliver(uuid.uuid4()) is False


def test_somebody_hears_of_every_request_before_everybody_hears_of_the_first(acme: Acme, smtp: Desk) -> None:
    asked = [requested(acme, context={"number": number}) for number in range(8)]
    while delivery.fan_out():
        pass
    assert Delivery.objects.count() == 24
    delivery.send_due(limit=10)
    told = Delivery.objects.filter(state="sent")
    assert told.count() == 10
    assert set(told.values_list("announcement__target", flat=True)) == {each.approval_id for each in asked}


def test_a_long_queue_of_first_messages_does_not_keep_the_others_waiting_for_ever(acme: Acme, smtp: Desk) -> None:
    requested(acme)
    while delivery.fan_out():
        pass
    for number in range(20):
        requested(acme, context={"number": number})
    while delivery.fan_out():
        pass
    for _ in range(2):
        delivery.send_due(limit=5)
    oldest = Announcement.objects.earliest("id")
    assert Delivery.objects.filter(announcement=oldest, state="sent").count() == 3


def test_where_the_first_message_does_not_get_through_the_next_person_is_as_urgent(acme: Acme, smtp: Desk) -> None:
    smtp.refused = {acme.admin.email: "451 later"}
    requested(acme)
    while delivery.fan_out():
        pass
    assert Delivery.objects.get(is_first=True).address == acme.admin.email
    delivery.send_due(limit=1)
    assert Delivery.objects.filter(is_first=True, state="due").count() == 3


def test_first_told_is_a_person_who_wants_to_hear_it_now_and_not_a_machine(acme: Acme, smtp: Desk) -> None:
    a_channel(acme, address="https://hooks.example.com/")
    for person in (acme.admin, acme.approver):
        Preference.objects.create(membership=Membership.objects.get(user=person), mail="none")
    requested(acme)
    while delivery.fan_out():
        pass
    assert {each.transport: each.is_first for each in Delivery.objects.all()} == {"email": True, "webhook": False}
