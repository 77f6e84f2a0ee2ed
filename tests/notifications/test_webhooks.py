"""Webhooks: signed as Standard Webhooks says, the same at every attempt, and patient with receivers."""

import json
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import format_datetime

import pytest
from django.db import connection, transaction
from standardwebhooks import Webhook, WebhookVerificationError

from accounts.by import COMMAND_LINE
from audit.clock import database_now
from audit.ids import show_id
from audit.models import Event
from notifications import delivery
from notifications.delivery import ATTEMPTS, REST
from notifications.models import Attempt, Channel, Delivery
from notifications.services import channels, deliveries
from notifications.transports import webhook
from tests import factories
from tests.approvals.conftest import Acme, make_acme
from tests.notifications.conftest import Desk, Receiver
from tests.notifications.sending import a_channel, make_due, requested, send_all, told

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme() -> Acme:
    return make_acme()


def hooked(acme: Acme, receiver: Receiver) -> tuple[Channel, str]:
    return a_channel(acme, address=receiver.url)


def hook() -> Delivery:
    return Delivery.objects.get(transport="webhook")


def somebody_waits() -> bool:
    """For this transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid)))")
        return bool(cursor.fetchone()[0])


def in_a_session_of_its_own(delivery_id: uuid.UUID) -> bool:
    try:
        return delivery.deliver(delivery_id)
    finally:
        connection.close()


def nowhere() -> str:
    """An address where nobody is."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return f"http://127.0.0.1:{gone.getsockname()[1]}/"


def test_the_receiver_can_verify_it_with_the_standard_library_of_the_scheme(
    acme: Acme, receiver: Receiver, smtp: Desk
) -> None:
    _, secret = hooked(acme, receiver)
    approval = requested(acme, amount="500", context={"customer_id": "cus_1", "note": "naïve ☃"}, risk="high")
    send_all()
    request = receiver.received[0]
    payload = Webhook(secret).verify(request.body, request.headers)
    assert json.loads(request.body) == payload
    assert list(payload) == ["event", "data", "timestamp"]
    assert payload["event"] == "approval.requested"
    data = payload["data"]
    assert data["id"] == approval.approval_id
    assert data["sentence"] == "support-bot wants to refund $500.00 to cus_1"
    assert (data["amount"], data["currency"], data["risk"], data["status"]) == ("500", "USD", "high", "pending")
    assert data["context"]["note"] == "naïve ☃"
    assert request.headers["webhook-id"] == show_id("dlv", hook().id)
    assert request.path == "/hooks?from=warden"
    with pytest.raises(WebhookVerificationError):
        Webhook(webhook.new_secret()).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body.replace(b"500", b"900"), request.headers)


def test_every_attempt_has_the_same_id_and_body_and_its_own_time(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    _, secret = hooked(acme, receiver)
    receiver.answers = [(503, {}, b"busy"), (500, {}, b"")]
    requested(acme)
    for _ in range(3):
        send_all()
        make_due()
    assert len(receiver.received) == 3
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    assert len({request.body for request in receiver.received}) == 1
    for request in receiver.received:
        Webhook(secret).verify(request.body, request.headers)
    assert list(Attempt.objects.filter(delivery=hook()).values_list("succeeded", "answer")) == [
        (False, "503 busy"),
        (False, "500"),
        (True, "200 thanks"),
    ]
    assert hook().state == "sent"


def test_every_ending_is_told(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    hooked(acme, receiver)
    approval = factories.an_approval(agent=acme.bot)
    for event in ("requested", "approved", "denied", "expired", "cancelled", "claimed"):
        told(approval, f"approval.{event}")
    send_all()
    told_of = [json.loads(request.body)["event"].partition(".")[2] for request in receiver.received]
    assert sorted(told_of) == ["approved", "cancelled", "claimed", "denied", "expired", "requested"]


def test_a_machine_is_told_of_a_request_that_is_over_already(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    hooked(acme, receiver)
    a_channel(acme, "email")
    requested(acme, state="cancelled", decided_at=database_now())
    send_all()
    assert json.loads(receiver.received[0].body)["data"]["status"] == "pending"  # as it was
    assert smtp.inbox == []


def test_retry_after_is_honoured(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    hooked(acme, receiver)
    requested(acme)
    later = format_datetime(database_now() + timedelta(minutes=50), usegmt=False)
    for value, least in (("1800", 29), (later, 48), ("soon", 0), ("999999999999", 0)):
        receiver.answers = [(429, {"Retry-After": value}, b"")]
        make_due()
        send_all()
        wait = hook().due_at - database_now()
        assert wait >= timedelta(minutes=least), value
        assert wait <= timedelta(days=1)


def test_gone_disables_the_channel_and_the_admins_are_told(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    channel, _ = hooked(acme, receiver)
    receiver.answers = [(410, {}, b"moved away")]
    requested(acme)
    told(factories.an_approval(agent=acme.bot, action="deploy"))
    send_all()
    channel.refresh_from_db()
    assert not channel.is_active
    assert channel.disabled_because == "410 moved away"
    assert len(receiver.received) == 1  # the second was not even tried
    assert sorted(Delivery.objects.filter(transport="webhook").values_list("state", flat=True)) == ["failed"] * 2
    event = Event.objects.get(kind="system:channel:disable")
    assert event.data["because"] == "410 moved away"
    smtp.inbox.clear()
    send_all()
    letters = [message for message in smtp.inbox if "is disabled" in message["Subject"]]
    assert sorted(message["To"] for message in letters) == sorted([acme.owner.email, acme.admin.email])
    requested(acme, action="later")
    send_all()
    assert len(receiver.received) == 1


def test_enabling_sends_what_was_given_up_meanwhile(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    channel, _ = hooked(acme, receiver)
    receiver.answers = [(410, {}, b"")]
    requested(acme)
    send_all()
    admin = acme.organization.memberships.get(user=acme.admin)
    assert channels.enable(channel=channel, by=admin) == 1
    send_all()
    assert [request.headers["webhook-id"] for request in receiver.received] == [show_id("dlv", hook().id)] * 2
    assert hook().state == "sent"


def test_a_disabled_address_that_was_changed_meanwhile_stays_on(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    channel, _ = hooked(acme, receiver)
    requested(acme)
    delivery.fan_out()
    Channel.objects.filter(pk=channel.pk).update(address="https://new.example.com/")
    receiver.answers = [(410, {}, b"")]
    send_all()
    channel.refresh_from_db()
    assert channel.is_active


@pytest.mark.parametrize("status", [302, 401, 403, 404])
def test_a_receiver_that_is_not_there_is_disabled_after_a_few_attempts(
    acme: Acme, receiver: Receiver, smtp: Desk, status: int
) -> None:
    channel, _ = hooked(acme, receiver)
    receiver.answers = [(status, {}, b"no such hook")] * 50
    requested(acme)
    for tried in range(1, webhook.GIVE_UP_REFUSED + 1):
        channel.refresh_from_db()
        assert channel.is_active, f"after {tried} attempts"
        make_due()
        send_all()
    channel.refresh_from_db()
    assert not channel.is_active
    assert channel.disabled_because.startswith(f"{status} no such hook")
    send_all()
    heard = [message["To"] for message in smtp.inbox if "is disabled" in message["Subject"]]
    assert sorted(heard) == sorted([acme.owner.email, acme.admin.email])
    receiver.answers = []
    assert channels.enable(channel=channel, by=acme.organization.memberships.get(user=acme.admin)) == 1
    send_all()
    assert hook().state == "sent"


def test_other_refusals_are_given_up_after_a_few_attempts(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    channel, _ = hooked(acme, receiver)
    receiver.answers = [(422, {}, b"not like this")] * 50
    requested(acme)
    for _ in range(10):
        make_due()
        send_all()
    assert (hook().state, hook().attempts) == ("failed", webhook.GIVE_UP_REFUSED)
    channel.refresh_from_db()
    assert channel.is_active
    admin = acme.organization.memberships.get(user=acme.admin)
    receiver.answers = []
    deliveries.retry(delivery=hook(), by=admin)
    send_all()
    assert hook().state == "sent"
    assert Event.objects.filter(kind="person:delivery:retry").count() == 1


def test_a_receiver_that_says_nothing_is_tried_by_one_message_and_keeps_no_other_channel_waiting(
    acme: Acme, receiver: Receiver, smtp: Desk
) -> None:
    dead, _ = a_channel(acme, address=nowhere())
    a_channel(acme, address=receiver.url)
    for _ in range(6):
        requested(acme)
    send_all()
    assert len(receiver.received) == 6
    unheard = Delivery.objects.filter(channel=dead)
    assert sorted(unheard.values_list("attempts", flat=True)) == [0] * 5 + [1]
    assert all(timedelta() < row.due_at - database_now() <= REST for row in unheard.filter(attempts=0))


def test_a_receiver_that_said_nothing_for_as_long_as_is_tried_is_disabled_and_loses_nothing(
    acme: Acme, receiver: Receiver, smtp: Desk
) -> None:
    channel, _ = a_channel(acme, address=nowhere())
    for _ in range(3):
        requested(acme)
    for _ in range(ATTEMPTS):
        make_due()
        send_all()
    channel.refresh_from_db()
    assert not channel.is_active
    assert "could not be reached" in channel.disabled_because
    make_due()
    send_all()
    assert set(Delivery.objects.filter(channel=channel).values_list("state", flat=True)) == {"failed"}
    channels.change(channel=channel, by=COMMAND_LINE, address=receiver.url)
    assert channels.enable(channel=channel, by=COMMAND_LINE) == 3
    assert send_all() == 3
    assert len(receiver.received) == 3


def test_what_is_owed_follows_a_channel_to_its_new_address(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    channel, _ = a_channel(acme, address=nowhere())
    requested(acme)
    send_all()
    channels.change(channel=channel, by=COMMAND_LINE, address=receiver.url)
    make_due()
    assert send_all() == 1
    assert hook().address == receiver.url


def test_who_changes_a_channel_while_it_is_given_up_waits_for_nobody_who_waits_for_them(
    acme: Acme, receiver: Receiver, smtp: Desk
) -> None:
    channel, _ = hooked(acme, receiver)
    requested(acme)
    delivery.fan_out()
    receiver.answers = [(410, {}, b"")]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Channel.objects.select_for_update().get(pk=channel.pk)
            given_up = pool.submit(in_a_session_of_its_own, hook().id)
            until = time.monotonic() + 10
            while not somebody_waits():
                assert time.monotonic() < until
                time.sleep(0.02)
            channels.change(channel=channel, by=COMMAND_LINE, address=nowhere())
        assert given_up.result(10) is False
    assert hook().state == "failed"
    assert Channel.objects.get(pk=channel.pk).is_active  # the address that wants no more is not its own any more


def test_a_redirect_is_not_followed(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    hooked(acme, receiver)
    receiver.answers = [(302, {"Location": "http://169.254.169.254/latest/meta-data"}, b"")]
    requested(acme)
    send_all()
    assert len(receiver.received) == 1
    assert "redirects are not followed" in hook().error


def test_a_secret_made_anew_signs_from_then_on(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    channel, old = hooked(acme, receiver)
    admin = acme.organization.memberships.get(user=acme.admin)
    new = channels.rotate_secret(channel=channel, by=admin)
    requested(acme)
    send_all()
    request = receiver.received[0]
    Webhook(new).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(request.body, request.headers)
    channel.refresh_from_db()
    assert new not in channel.secret
    assert all(new not in event.body and old not in event.body for event in Event.objects.all())


def test_live_and_test_are_apart(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    hooked(acme, receiver)
    requested(acme, mode="test")
    send_all()
    assert receiver.received == []
    a_channel(acme, address=f"{receiver.url}&test=1", mode="test", name="for tests")
    requested(acme, mode="test", action="again")
    send_all()
    assert [request.path for request in receiver.received] == ["/hooks?from=warden&test=1"]
    assert json.loads(receiver.received[0].body)["data"]["mode"] == "test"


def test_another_organization_hears_nothing(acme: Acme, receiver: Receiver, smtp: Desk) -> None:
    other = make_acme()
    hooked(other, receiver)
    requested(acme)
    send_all()
    assert receiver.received == []


@pytest.mark.parametrize("secret", ["", "whsec", "secret", "whsec_*", "whsec_é"])
def test_a_malformed_secret_signs_nothing(secret: str) -> None:
    with pytest.raises(ValueError, match=r"base64|padd|whsec_|Only|Incorrect|Excess|ASCII"):
        webhook.sign(secret, "dlv_x", 1, "{}")
