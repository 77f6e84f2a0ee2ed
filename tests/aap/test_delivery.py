"""A receiver is verified before anything, told once of each decision, for a week if need be; and paused runs go on."""

import asyncio
import ipaddress
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from agentapprovalprotocol import AsyncClient, AsyncGate, Call, Receiver, WebhookVerificationFailed
from agentapprovalprotocol.receiver import new_secret, verify
from django.db.models import F

from agents.models import Instance
from approvals.models import Approval, ToolCall
from approvals.services import expire_due
from audit.clock import database_now
from gateway.tasks import forget
from notifications import delivery as sending
from notifications.delivery import REST
from notifications.models import Announcement, Delivery
from tests.aap.conftest import Desk
from tests.aap.receiving import Inbox, Message, Reply, answer, delivery
from tests.notifications.sending import make_due, send_all
from tests.people import Crowd

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def this_machine(settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver(resumers={}, secret=new_secret(), registration_id=str(uuid.uuid4()))


@pytest.fixture
def inbox(receiver: Receiver) -> Iterator[Inbox]:
    with Inbox(receiver) as inbox:
        yield inbox


class Made:
    """An instance with that receiver."""

    def __init__(self, desk: Desk, inbox: Inbox, receiver: Receiver) -> None:
        self.desk, self.token = desk, desk.provisioner()
        self.answer = self.create(delivery(inbox.url, receiver))
        assert self.answer.status_code == 201, self.answer.text
        self.id = self.answer.json()["instance"]["id"]
        self.credential = self.answer.json()["credential"]["token"]
        self.count = 0

    def create(self, configured: Any, key: str = "p-1") -> Any:
        return self.desk.send("POST", "/instances", {"delivery": configured}, self.token, Idempotency_Key=key)

    def change(self, key: str = "c-1", **body: Any) -> Any:
        return self.desk.send("PATCH", f"/instances/{self.id}", body, self.token, Idempotency_Key=key)

    def ask(self, amount: float = 500) -> dict[str, Any]:
        self.count += 1
        body = {"tool": "stripe.refund", "arguments": {"amount": amount, "n": self.count}, "timeout": "10m"}
        sent = self.desk.send("POST", "/requests", body, self.credential, Idempotency_Key=f"k-{self.count}")
        made: dict[str, Any] = sent.json()
        return made


@pytest.fixture
def made(desk: Desk, inbox: Inbox, receiver: Receiver) -> Made:
    return Made(desk, inbox, receiver)


def test_a_receiver_provisions_itself_and_resumes_a_paused_run_which_runs_its_tool_once(desk: Desk) -> None:
    ran: list[str] = []

    async def story() -> None:
        receiver = Receiver(resumers={})
        async with Inbox(receiver) as inbox:
            made = await receiver.provision(
                provider_url=desk.base, provisioner_token=desk_token, url=inbox.url, instance_name="laptop"
            )
            client = AsyncClient(desk.base, made.token, retry_budget=5)
            gate = AsyncGate(client, mode="async")
            call = Call("run-1:1", "stripe.refund", {"amount": 500}, resume={"framework": "ours", "run": "run-1"})

            async def run() -> None:
                async with gate.guard(call) as verdict:
                    if verdict:
                        ran.append(call.key)

            async def resume(handle: Mapping[str, Any], request: Any) -> None:
                assert handle["run"] == "run-1"
                await run()

            receiver.resumers["ours"] = resume
            await run()
            assert ran == []
            waiting = await asyncio.to_thread(Approval.objects.get)
            await asyncio.to_thread(desk.world.decide, str(waiting.id))
            for _ in range(2):  # told twice, say: it runs once all the same
                await asyncio.to_thread(send_all)
                await asyncio.to_thread(lambda: Delivery.objects.update(state="due", sent_at=None))
            for _ in range(100):
                if await asyncio.to_thread(ToolCall.objects.filter(outcome="succeeded").exists):
                    break
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            [call_row] = await asyncio.to_thread(lambda: list(ToolCall.objects.all()))
            assert call_row.outcome == "succeeded"
            await client.aclose()
            if receiver.client:
                await receiver.client.aclose()

    desk_token = desk.provisioner()
    asyncio.run(story())
    assert ran == ["run-1:1"]


def test_a_receiver_that_does_not_expect_it_gets_no_instance(desk: Desk) -> None:
    async def story() -> None:
        stranger = Receiver(resumers={}, secret=new_secret(), registration_id=str(uuid.uuid4()))
        with Inbox(stranger) as inbox:
            mine = Receiver(resumers={})
            with pytest.raises(WebhookVerificationFailed):
                await mine.provision(provider_url=desk.base, provisioner_token=token, url=inbox.url)

    token = desk.provisioner()
    asyncio.run(story())
    assert not Instance.objects.exists()


@pytest.mark.parametrize(
    "reply",
    [
        (204, b"", {}),
        (200, b"", {}),
        (200, b'{"challenge": "guessed"}', {}),
        (302, b"", {"location": "http://127.0.0.1:1/"}),
        (500, b"", {}),
    ],
)
def test_only_the_challenge_verifies(desk: Desk, receiver: Receiver, reply: Reply) -> None:
    with Inbox(receiver, instead=lambda _: reply) as inbox:
        token = desk.provisioner()
        body = {"delivery": delivery(inbox.url, receiver)}
        refused = desk.send("POST", "/instances", body, token, Idempotency_Key="p-1")
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "webhook_verification_failed")
        inbox.instead = None
        assert desk.send("POST", "/instances", body, token, Idempotency_Key="p-1").status_code == 201


def test_slow_receivers_delay_no_check_and_no_other_provisioner(desk: Desk, receiver: Receiver) -> None:
    with Inbox(receiver, delay=3) as inbox, Crowd(8) as pool:
        slow, quick = desk.provisioner(), desk.provisioner()
        body = {"delivery": delivery(inbox.url, receiver)}
        waiting = [
            pool.submit(desk.send, "POST", "/instances", body, slow, Idempotency_Key=f"p-{number}")
            for number in range(6)
        ]
        time.sleep(0.5)
        began = time.monotonic()
        assert desk.world.check("email.send")["allowed"]
        assert desk.ask(amount=20)["status"] == "approved"
        assert desk.send("POST", "/instances", {}, quick, Idempotency_Key="p-1").status_code == 201
        assert time.monotonic() - began < 2
        assert sorted(each.result(20).status_code for each in waiting) == [201] * 4 + [429] * 2


def test_submissions_under_one_key_verify_once(desk: Desk, inbox: Inbox, receiver: Receiver) -> None:
    token, body = desk.provisioner(), {"delivery": delivery(inbox.url, receiver)}
    inbox.delay = 0.5
    with Crowd(4) as pool:
        made = [
            each.result()
            for each in [
                pool.submit(desk.send, "POST", "/instances", body, token, Idempotency_Key="p-1") for _ in range(4)
            ]
        ]
    assert sorted(each.status_code for each in made) == [200, 200, 200, 201]
    assert len({each.json()["credential"]["token"] for each in made}) == 1
    assert len(inbox.got) == 1


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1/#x",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://100.100.100.200/",
        "http://localhost.localdomain:1 /",
        "//127.0.0.1/",
    ],
)
def test_an_unsafe_url_is_refused(desk: Desk, receiver: Receiver, url: str) -> None:
    body = {"delivery": delivery(url, receiver)}
    refused = desk.send("POST", "/instances", body, desk.provisioner(), Idempotency_Key="p-1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_webhook_url")
    assert not Instance.objects.exists()


def test_another_type_of_delivery_or_a_weak_secret_is_refused(desk: Desk, inbox: Inbox, receiver: Receiver) -> None:
    token, right = desk.provisioner(), dict(delivery(inbox.url, receiver))
    for wrong, code in (
        ({"type": "socket"}, "unsupported_delivery_type"),
        ({"signing_secret": "whsec_c2hvcnQ="}, "invalid_request"),
        ({"registration_id": "x"}, "invalid_request"),
        ({"more": 1}, "invalid_request"),
    ):
        body = {"delivery": right | wrong}
        refused = desk.send("POST", "/instances", body, token, Idempotency_Key="p-1")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)
    assert inbox.got == []


def test_every_ending_is_told_once_signed_and_nothing_of_it_is_said(made: Made, inbox: Inbox) -> None:
    ids = []
    for end in ("approve", "deny", "cancel", "expire", "at once"):
        asked = made.ask(20 if end == "at once" else 500)
        ids.append(asked["id"])
        if end in ("approve", "deny"):
            made.desk.decide(asked, end)
        elif end == "cancel":
            made.desk.send("DELETE", f"/requests/{asked['id']}", None, made.credential)
        elif end == "expire":
            before = database_now() - timedelta(seconds=5)
            Approval.objects.filter(id=asked["id"]).update(created_at=before, expires_at=F("created_at"))
            Approval.objects.filter(id=asked["id"]).update(expires_at=database_now())
            expire_due()
    send_all()
    send_all()
    assert sorted(message.data["request_id"] for message in inbox.told) == sorted(ids)
    for message in inbox.told:
        secret = inbox.receiver.secret if inbox.receiver else ""
        data = verify(secret or "", message.headers, message.body)
        assert data.keys() == {"id", "type", "instance_id", "request_id", "created_at"}
        assert data["instance_id"] == made.id
        seen = made.desk.send("GET", f"/requests/{data['request_id']}", None, made.credential).json()
        assert data["created_at"] == seen["decision"]["decided_at"]


def test_the_news_commits_with_the_decision(made: Made) -> None:
    made.desk.decide(made.ask())
    made.ask(20)
    owed = Announcement.objects.filter(fanned_out_at=None, event__in=["approval.approved", "aap.resolved"])
    assert owed.count() == 2


def test_what_fails_is_tried_again_unchanged_for_168_hours_and_then_given_up(made: Made, inbox: Inbox) -> None:
    inbox.instead = answer(500)
    made.desk.decide(made.ask())
    send_all()
    for _ in range(15):  # more often than anything else is tried
        make_due()
        send_all()
    row = Delivery.objects.get(transport="aap")
    assert (row.state, row.attempts, len(inbox.told)) == ("due", 16, 16)
    assert len({(each.headers["webhook-id"], each.body) for each in inbox.told}) == 1
    decided = Approval.objects.get().decided_at
    assert decided
    assert row.until == decided + timedelta(hours=168)
    assert row.due_at - database_now() <= timedelta(hours=1)
    Delivery.objects.update(until=database_now() + timedelta(minutes=5))  # an hour later it is over
    make_due()
    send_all()
    row.refresh_from_db()
    assert (row.state, len(inbox.told)) == ("failed", 17)
    Delivery.objects.update(state="due", until=database_now() + timedelta(seconds=3), due_at=database_now())
    send_all()
    row.refresh_from_db()
    assert (row.state, len(inbox.told)) == ("failed", 17), "an attempt has to end within the window"


def test_a_refusal_is_no_reason_to_stop_and_retry_after_is_heeded(made: Made, inbox: Inbox) -> None:
    made.desk.decide(made.ask())
    for status in (400, 401, 404, 410, 301):
        inbox.instead = answer(status, location=inbox.url)
        send_all()
        make_due()
    assert (Delivery.objects.get(transport="aap").state, len(inbox.told)) == ("due", 5)
    inbox.instead = answer(429, retry_after="7200")
    send_all()
    left = Delivery.objects.get(transport="aap").due_at - database_now()
    assert timedelta(minutes=119) < left <= timedelta(hours=2)
    inbox.instead = None
    make_due()
    send_all()
    assert Delivery.objects.get(transport="aap").state == "sent"


def test_one_attempt_is_in_flight_at_a_time(made: Made, inbox: Inbox) -> None:
    made.desk.decide(made.ask())
    sending.fan_out()
    inbox.delay = 0.5
    [delivery_id] = Delivery.objects.filter(transport="aap").values_list("id", flat=True)
    with Crowd(6) as pool:
        list(pool.map(lambda _: sending.deliver(delivery_id), range(6)))
    assert (inbox.busiest, len(inbox.told)) == (1, 1)


def test_a_receiver_that_is_not_heard_is_tried_by_one_message_and_delays_no_other(
    made: Made, inbox: Inbox, desk: Desk
) -> None:
    dead = Receiver(resumers={}, secret=new_secret(), registration_id=str(uuid.uuid4()))
    with Inbox(dead) as gone:
        other = made.create(delivery(gone.url, dead), "p-2").json()["credential"]["token"]
    for number in range(6):
        body = {"tool": "stripe.refund", "arguments": {"amount": 500, "n": -number}, "timeout": "10m"}
        desk.decide(desk.send("POST", "/requests", body, other, Idempotency_Key=f"k-{number}").json())
    desk.decide(made.ask())
    assert send_all() == 1
    assert len(inbox.told) == 1
    unheard = Delivery.objects.exclude(instance_id=made.id)
    assert sorted(unheard.values_list("attempts", flat=True)) == [0] * 5 + [1]
    assert all(due_at <= database_now() + REST for due_at in unheard.values_list("due_at", flat=True))
    make_due()
    with Inbox(dead, port=gone.port) as back:
        assert send_all() == 6
        assert len(back.told) == 6


def test_a_replaced_receiver_gets_what_is_queued_and_a_refused_one_changes_nothing(made: Made, inbox: Inbox) -> None:
    inbox.instead = answer(500)
    made.desk.decide(made.ask())
    send_all()
    before = Delivery.objects.get(transport="aap")
    other = Receiver(resumers={}, secret=new_secret(), registration_id=str(uuid.uuid4()))
    stranger = Receiver(resumers={}, secret=new_secret(), registration_id=str(uuid.uuid4()))
    with Inbox(other) as second:
        refused = made.change("c-1", instance_name="moved", delivery=delivery(second.url, stranger))
        assert refused.status_code == 422
        assert made.desk.send("GET", f"/instances/{made.id}", None, made.token).json()["name"] != "moved"
        changed = made.change("c-2", instance_name="moved", delivery=delivery(second.url, other))
        assert changed.json()["delivery"] == {
            "type": "webhook",
            "url": second.url,
            "registration_id": other.registration_id,
        }
        make_due()
        send_all()
        [message] = second.told
        assert verify(other.secret or "", message.headers, message.body)["request_id"]
        assert message.body.decode() == before.text
        assert Delivery.objects.get(transport="aap").until == before.until


def test_a_removed_receiver_is_told_nothing_more_and_a_new_one_nothing_old(
    made: Made, inbox: Inbox, receiver: Receiver
) -> None:
    inbox.instead = answer(500)
    made.desk.decide(made.ask())
    send_all()
    made.desk.decide(made.ask())  # not worked out yet
    assert "delivery" not in made.change("c-1", delivery=None).json()
    assert Delivery.objects.get(transport="aap").state == "moot"
    made.ask(20)
    inbox.instead = None
    assert made.change("c-2", delivery=delivery(inbox.url, receiver)).status_code == 200
    make_due()
    send_all()
    assert len(inbox.told) == 1
    made.ask(20)
    send_all()
    assert len(inbox.told) == 2


def test_a_retired_instance_is_told_nothing_more(made: Made, inbox: Inbox) -> None:
    waiting = made.ask()
    inbox.instead = answer(500)
    made.desk.decide(made.ask())
    send_all()
    assert made.desk.send("DELETE", f"/instances/{made.id}", None, made.token).status_code == 204
    make_due()
    send_all()
    assert Approval.objects.get(id=waiting["id"]).state == "cancelled"
    assert len(inbox.told) == 1


def test_secrets_are_kept_sealed_and_never_told(made: Made, receiver: Receiver) -> None:
    row = Instance.objects.get()
    assert receiver.secret
    assert receiver.secret not in row.delivery_secret
    assert made.credential not in row.issued
    shown = made.desk.send("GET", f"/instances/{made.id}", None, made.token).text + made.change(instance_name="x").text
    assert receiver.secret not in shown
    assert made.credential not in shown


def test_requests_and_keys_are_kept_seven_days_after_they_end_and_then_forgotten(made: Made) -> None:
    ended, waiting, at_once = made.ask(), made.ask(), made.ask(20)
    made.desk.decide(ended)
    ids = {each["id"] for each in (ended, waiting, at_once)}

    def age(**back: float) -> None:
        ago = database_now() - timedelta(**back)
        ToolCall.objects.update(created_at=ago)
        ToolCall.objects.filter(id=at_once["id"]).update(decided_at=ago)
        Approval.objects.filter(id=ended["id"]).update(created_at=ago, decided_at=ago)
        forget()

    age(hours=168)
    assert {str(pk) for pk in ToolCall.objects.values_list("id", flat=True)} == ids
    assert made.create(delivery("http://127.0.0.1:1/", made_receiver()), "p-1").status_code == 409  # the key is known
    age(hours=193)
    assert {str(pk) for pk in ToolCall.objects.values_list("id", flat=True)} == {waiting["id"]}
    Instance.objects.get().key.__class__.objects.filter(id=made.id).update(
        created_at=database_now() - timedelta(days=8)
    )
    forget()
    assert Instance.objects.get().issued == ""


def made_receiver() -> Receiver:
    return Receiver(resumers={}, secret=new_secret(), registration_id=str(uuid.uuid4()))


def test_messages_are_json_of_the_protocol(made: Made, inbox: Inbox, receiver: Receiver) -> None:
    [message] = inbox.got
    said: Message = message
    assert json.loads(said.body).keys() == {
        "id",
        "type",
        "registration_id",
        "instance_id",
        "created_at",
        "challenge",
    }
    assert said.data["registration_id"] == receiver.registration_id
    assert said.headers["content-type"] == "application/json"
