"""What is not Slack's gets 401: forged, replayed, late, truncated, not UTF-8. Never a 500, never an effect."""

import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client

from approvals.models import Approval
from notifications.models import SlackApp, SlackCall
from tests.slack.conftest import Office, sign

FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@pytest.fixture
def body(office: Office) -> bytes:
    """The body of a click that would approve."""
    office.request()
    payload = office.hand.clicked("UANN", office.card, "Approve")
    return urlencode({"payload": json.dumps(payload)}).encode()


@pytest.fixture(autouse=True)
def no_500(client: Client) -> None:
    client.raise_request_exception = True


def pending() -> bool:
    return Approval.objects.get().state == "pending"


HEADERS: list[dict[str, Any]] = [
    {"signature": "v0=" + "0" * 64},
    {"signature": "v1=" + "0" * 64},
    {"signature": "0" * 64},
    {"signature": "v0=" + "0" * 63},
    {"signature": "v0=" + "G" * 64},
    {"signature": "v0=" + "０" * 64},
    {"signature": "v0=é"},
    {"signature": " "},
    {"timestamp": ""},
    {"timestamp": "now"},
    {"timestamp": "1e9"},
    {"timestamp": "-1"},
    {"timestamp": "１７００００００００"},
    {"timestamp": "٣"},
    {"timestamp": "9" * 400},
    {"timestamp": "1700000000.5"},
    {"timestamp": "0x10"},
    {"timestamp": "nan"},
]


@pytest.mark.parametrize("path", ["interactions", "commands", "events"])
@pytest.mark.parametrize("headers", HEADERS)
def test_malformed_and_forged_headers(office: Office, path: str, headers: dict[str, Any]) -> None:
    for name, value in headers.items():
        headers = {**headers, name: value.encode().decode("latin-1")}
    assert office.hand.send(f"/slack/{path}", b"payload=%7B%7D", **headers).status_code == 401


def test_headers_that_are_missing(office: Office, client: Client, body: bytes) -> None:
    assert client.post("/slack/interactions", body, content_type=FORM).status_code == 401
    assert pending()


BODIES = [
    b"",
    b"\xff\xfe\xfa",
    b"payload=%FF%FE",
    b"payload=",
    b"payload",
    b"payload={",
    b"payload=null",
    b"payload=[]",
    b"payload=1",
    b"payload=%22text%22",
    b"payload=" + b"%5B" * 20_000,
    b"payload=%7B%7D",
    b"&".join(b"a%d=1" % number for number in range(200)),
    b"payload=" + json.dumps({"type": "block_actions", "team": {"id": "T0ACME\x00"}}).encode(),
    b"payload=" + json.dumps({"type": "block_actions", "team": {"id": ["T0ACME"]}}).encode(),
    b"payload=" + json.dumps({"type": "block_actions", "team": "T0ACME"}).encode(),
    b"payload=" + json.dumps({"type": "block_actions", "team": {"id": "T0NOBODY"}}).encode(),
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize(
    ("path", "kind"), [("interactions", FORM), ("commands", FORM), ("events", JSON), ("events", FORM)]
)
def test_bodies_that_slack_would_not_send_although_signed(office: Office, body: bytes, path: str, kind: str) -> None:
    assert office.hand.send(f"/slack/{path}", body, kind).status_code == 401


ODD: list[dict[str, Any]] = [
    {"actions": 5},
    {"actions": [None, 1, {"action_id": ["warden_approve"]}]},
    {"actions": [{"action_id": "warden_approve"}]},
    {"actions": [{"action_id": "warden_approve", "value": {"a": 1}}]},
    {"actions": [{"action_id": "warden_approve", "value": "apr_" + "\x00" * 26 + " x"}]},
    {"actions": [{"action_id": "warden_approve", "value": "apr_ÄÖÜ \ud800"}]},
    {"user": None},
    {"user": {"id": "\x00"}},
    {"user": {"id": {"$ne": 1}}},
    {"container": {"channel_id": "\x00", "message_ts": "\x00"}},
    {"container": 7},
    {"type": "view_submission", "view": {"callback_id": ["x"]}},
    {"type": "view_submission", "view": {"callback_id": "warden_deny", "private_metadata": None, "state": 5}},
    {"type": "view_submission", "view": 5},
    {"type": "something_new"},
    {"type": None},
    {"response_url": 5, "channel": "x"},
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_a_signed_call_of_another_shape_is_acknowledged_and_never_a_500(office: Office, odd: dict[str, Any]) -> None:
    office.request(rule={"approvals": 2})
    payload = office.hand.clicked("UANN", office.card, "Approve") | odd
    assert office.hand.interact(payload).status_code == 200
    assert pending()


@pytest.mark.parametrize("reason", ["\x00", "\ud800", "x" * 5_000, None, 5, ["x"]])
def test_odd_reasons_are_refused_or_kept_harmless(office: Office, reason: Any) -> None:
    office.request()
    office.hand.click("UANN", office.card, "Deny")
    assert office.hand.submit("UANN", office.slack.views[0], reason).status_code == 200


@pytest.mark.parametrize("seconds", [-301, -3_600, 302, 86_400])
def test_late_and_from_the_future(office: Office, body: bytes, seconds: int) -> None:
    answer = office.hand.send("/slack/interactions", body, timestamp=str(int(time.time()) + seconds))
    assert answer.status_code == 401
    assert pending()


def test_a_replay_is_refused_and_slacks_own_retry_is_acknowledged(office: Office, body: bytes) -> None:
    timestamp = str(int(time.time()))
    send = office.hand.send
    assert send("/slack/interactions", body, timestamp=timestamp).status_code == 200
    assert not pending()
    assert send("/slack/interactions", body, timestamp=timestamp).status_code == 401
    retried = send("/slack/interactions", body, timestamp=timestamp, headers={"X-Slack-Retry-Num": "1"})
    assert retried.status_code == 200
    assert SlackCall.objects.count() == 1


@pytest.mark.parametrize("change", ["cut", "more", "flip", "none", "path"])
def test_a_replay_with_anything_changed_is_refused(office: Office, body: bytes, change: str) -> None:
    timestamp = str(int(time.time()))
    signature = sign(office.slack.signing_secret, body, timestamp)
    changed = {
        "cut": body[:-9],
        "more": body + b"&x=1",
        "flip": body.replace(b"UANN", b"UBOB"),
        "none": b"",
        "path": body.replace(b"payload", b"Payload"),
    }[change]
    for headers in ({}, {"X-Slack-Retry-Num": "1"}):
        answer = office.hand.send(
            "/slack/interactions", changed, timestamp=timestamp, signature=signature, headers=headers
        )
        assert answer.status_code == 401
    assert pending()


def test_a_timestamp_that_was_not_signed_is_refused(office: Office, body: bytes) -> None:
    now = int(time.time())
    signature = sign(office.slack.signing_secret, body, str(now - 400))
    assert office.hand.send("/slack/interactions", body, timestamp=str(now), signature=signature).status_code == 401
    assert pending()


@pytest.mark.parametrize("secret", ["", "wrong", "8F742231B10E8888ABCD99YYYZZZ85A5"])
def test_another_secret_is_refused(office: Office, body: bytes, secret: str) -> None:
    timestamp = str(int(time.time()))
    answer = office.hand.send("/slack/interactions", body, timestamp=timestamp, signature=sign(secret, body, timestamp))
    assert answer.status_code == 401
    assert pending()


def test_an_app_without_a_secret_takes_nothing(office: Office, body: bytes) -> None:
    SlackApp.objects.update(signing_secret="", app_token="x")
    timestamp = str(int(time.time()))
    answer = office.hand.send("/slack/interactions", body, timestamp=timestamp, signature=sign("", body, timestamp))
    assert answer.status_code == 401


def test_a_body_above_the_limit_is_refused(office: Office) -> None:
    assert office.hand.send("/slack/interactions", b"payload=" + b"x" * 1_100_000).status_code == 401


def test_a_get_is_no_call(office: Office, client: Client) -> None:
    assert client.get("/slack/interactions").status_code == 405


def test_the_challenge_is_answered_when_signed_and_not_otherwise(office: Office) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "abc", "token": "old"}).encode()
    assert office.hand.send("/slack/events", body, JSON).json() == {"challenge": "abc"}
    assert office.hand.send("/slack/events", body, JSON, signature="v0=" + "0" * 64).status_code == 401


def test_a_call_that_failed_halfway_was_not_taken(office: Office, body: bytes, client: Client) -> None:
    """What the database refused is not remembered as done: Slack's retry decides."""
    client.raise_request_exception = False
    timestamp = str(int(time.time()))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE approvals_review ADD CONSTRAINT broken CHECK (false)")
        assert office.hand.send("/slack/interactions", body, timestamp=timestamp).status_code == 500
        cursor.execute("ALTER TABLE approvals_review DROP CONSTRAINT broken")
    assert not SlackCall.objects.exists()
    retried = office.hand.send("/slack/interactions", body, timestamp=timestamp, headers={"X-Slack-Retry-Num": "1"})
    assert retried.status_code == 200
    assert not pending()


def test_old_signatures_are_forgotten_an_hour_later(office: Office, body: bytes) -> None:
    SlackCall.objects.create(signature="old")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE notifications_slackcall SET at = at - interval '61 minutes'")
    office.hand.send("/slack/interactions", body)
    assert not SlackCall.objects.filter(signature="old").exists()
