"""Logs: one line an event, the request's id in it, and no secret ever (I11)."""

import io
import json
import logging
import time
import traceback
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from accounts.secrets import new_secret
from tests.gateway.conftest import World
from tests.server import Server
from warden import logs
from warden.redaction import BLANK, one_line, redacted, scrub

SECRET = "hunter2-Tr0ub4dor"
AGENT_KEY, TEST_KEY, PERSON = new_secret("ak_"), new_secret("test_"), new_secret("wpat_")
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"
LEAKS = [
    (AGENT_KEY, AGENT_KEY[8:]),
    (f"key {TEST_KEY}, twice {TEST_KEY}.", TEST_KEY[8:]),
    (f"wpat is {PERSON}", PERSON[8:]),
    ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYq"),
    ("xoxb-not-a-real-slack-token", "not-a-real"),
    ("xapp-1-A111-222-abcdef0123", "A111-222"),
    ("https://hooks.slack.com/services/T00/B00/XXXXsecret", "XXXXsecret"),
    (f"Authorization: Bearer {SECRET}", SECRET),
    (f"sent authorization='Basic {SECRET}'", SECRET),
    (f"{{'Authorization': 'Bearer {SECRET}'}}", SECRET),
    (f"b'authorization', b'Bearer {SECRET}'", SECRET),
    (f"Cookie: a=1; __Host-warden_session={SECRET}", SECRET),
    (f"Set-Cookie: warden={SECRET}; Path=/", SECRET),
    (f"X-API-Key: {SECRET}", SECRET),
    (f"postgresql://warden:{SECRET}@db.example.com:5432/warden?sslmode=require", SECRET),
    (f"postgresql://warden:with/{SECRET}@db.example.com/warden", SECRET),
    (f"rediss://:{SECRET}@redis.example.com:6379/0", SECRET),
    (f"redis://user:p@{SECRET}@redis.example.com", SECRET),
    (f"host=db user=warden password={SECRET} dbname=warden", SECRET),
    (f"host=db password='{SECRET} with a space' dbname=warden", SECRET),
    (f'{{"client_secret": "{SECRET}"}}', SECRET),
    (f"{{'SLACK_SIGNING_SECRET': '{SECRET}', 'n': 1}}", SECRET),
    (f"https://idp.example.com/token?client_id=1&client_secret={SECRET}&x=1", SECRET),
    (f"https://warden.example.com/setup/{SECRET}", SECRET),
    (f"Not Found: /join/{SECRET}", SECRET),
    (f"GET /accounts/password/reset/key/1-{SECRET}/ 500", SECRET),
    (f"/accounts/confirm-email/{SECRET}/", SECRET),
    (f"assertion {JWT}", "dozjgNryP4J3"),
    (PEM, SECRET),
    (PEM.partition("-----END")[0], SECRET),
]
HARMLESS = [
    "stripe.refund.large of 500.00 USD for cus_8123",
    "postgresql://db.example.com/warden is unreachable",
    "https://warden.example.com/approvals/apr_01JABCDEF",
    "test_a_name_of_a_test in tests/agents/test_keys_pages.py:12",
    "the policy was read at 12:00:03 in 15 ms",
    "key 1 of 2",
    "/setup/",
    "the authorization of a colleague was refused",
    "a cookie was missing",
    "Basic support, and bearer tokens",
]


@pytest.fixture
def lines(settings: Settings) -> Iterator[io.StringIO]:
    """What a production server would write to standard error."""
    settings.PRODUCTION = True
    kept = logging.root.handlers[:], logging.root.level
    structlog.reset_defaults()
    try:
        logs.configure()
        stream = io.StringIO()
        ours = next(h for h in logging.root.handlers if isinstance(h.formatter, structlog.stdlib.ProcessorFormatter))
        assert isinstance(ours, logging.StreamHandler)
        ours.setStream(stream)
        yield stream
    finally:
        settings.PRODUCTION = False
        logs.configure()
        logging.root.handlers[:] = kept[0]
        logging.root.setLevel(kept[1])


def written(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


@pytest.mark.parametrize(("text", "secret"), LEAKS, ids=range(len(LEAKS)))
def test_a_secret_is_known_by_its_form(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in scrub(text)
    assert BLANK in scrub(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize(("text", "secret"), LEAKS, ids=range(len(LEAKS)))
def test_no_secret_is_written_wherever_it_hides(lines: io.StringIO, text: str, secret: str) -> None:
    log, plain = structlog.get_logger("ours"), logging.getLogger("theirs")
    log.info("said", note=text, deep={"a": [{"b": (text, {"c": text.encode()})}]}, odd=Odd(text))
    log.info(text)
    plain.warning("a library says %s", text)
    try:
        raise RuntimeError(text) from ValueError(text)
    except RuntimeError as error:
        log.exception("broke")
        log.error("broke", exc_info=error)
        plain.exception("broke: %s", error)
    assert secret not in lines.getvalue().replace("\\n", "\n")
    assert len(written(lines)) == 6


class Odd:
    """Something of a library's, that shows what it holds."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"<Odd {self.text}>"


NAMES = """password new_password secret SLACK_SIGNING_SECRET token api_key apiKey Authorization cookie Set-Cookie
sessionid session_key csrfmiddlewaretoken credentials dsn private_key"""


@pytest.mark.parametrize("name", NAMES.split())
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert redacted({name: "plain"}) == {name: BLANK}
    assert redacted({"deep": [{name: {"x": "plain"}}]}) == {"deep": [{name: BLANK}]}
    assert redacted([(name, "plain"), (name.encode(), b"plain")]) == [[name, BLANK], [name, BLANK]]
    assert redacted(4711, name) == BLANK


def test_what_is_no_secret_keeps_its_type() -> None:
    value = {"status": 200, "ms": 1.5, "known": True, "nothing": None, "list": [1, "two"]}
    assert redacted(value) == value


@given(
    st.recursive(
        st.text() | st.binary() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_redacting_never_fails_and_leaves_json(value: Any) -> None:
    json.dumps(redacted(value))


def test_an_endless_value_is_cut() -> None:
    endless: list[Any] = [AGENT_KEY]
    endless.append(endless)
    assert AGENT_KEY[8:] not in json.dumps(redacted(endless))


@given(st.text())
def test_a_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1


def test_what_somebody_sends_cannot_forge_a_line(lines: io.StringIO) -> None:
    structlog.get_logger("ours").warning("said\nforged", note="x\r\n2026-01-01 forged\x1b[2J\u202egnol")
    logging.getLogger("theirs").warning("Not Found: %s", "/x\nforged")
    assert [line["event"] for line in written(lines)] == ["said\\nforged", "Not Found: /x\\nforged"]
    assert lines.getvalue().count("\n") == 2
    assert not set("\x1b\u202e") & set(lines.getvalue())


@pytest.mark.django_db
def test_a_line_about_a_request_has_its_id(lines: io.StringIO, client: Client) -> None:
    response = client.get("/nothing/here", headers={"X-Request-ID": "a-request-of-mine"})
    assert response.status_code in (302, 404)
    client.get("/api/agents", headers={"X-Request-ID": "another-of-mine"})
    about = [line for line in written(lines) if "api/agents" in line["event"]]
    assert about
    assert {line["request_id"] for line in about} == {"another-of-mine"}


@pytest.mark.parametrize("noisy", logs.QUIET)
def test_what_says_the_same_every_five_seconds_is_quiet(lines: io.StringIO, noisy: str) -> None:
    logging.getLogger(noisy).info("Scheduler: Sending due task deliver")
    assert written(lines) == []
    logging.getLogger(noisy).warning("something is wrong")
    assert [line["event"] for line in written(lines)] == ["something is wrong"]


@pytest.mark.parametrize(
    "piece",
    ["a://b:", "a-", "password", "password-", "eyJ-", "eyJaaaaaaaaa.", "-----BEGIN PRIVATE KEY", "Bearer ", "/setup/"],
)
def test_no_text_takes_long_to_read(piece: str) -> None:
    started = time.process_time()
    scrub(piece * 300_000)
    assert time.process_time() - started < 4


@pytest.mark.django_db(transaction=True)
def test_a_request_of_an_agent_leaves_one_line_with_its_id(one: World) -> None:
    with Server(LOG_LEVEL="debug") as server:
        body = {"agent_id": "support-bot", "action": "email.send", "context": {"password": SECRET, "note": AGENT_KEY}}
        known, unknown = {"X-API-Key": one.key}, {"X-API-Key": AGENT_KEY}
        sent = [
            ("req-allowed", body, known),
            ("req-malformed", {"agent_id": 5}, known),
            ("req-stranger", body, unknown),
        ]
        for request_id, content, key in sent:
            httpx.post(f"{server.url}/sdk/check", json=content, headers={**key, "X-Request-ID": request_id})
        told = [line for line in server.log.read_text().splitlines() if "gateway.request" in line]
    assert [[word for word in line.split() if word.startswith(("request_id=", "status="))] for line in told] == [
        ["request_id=req-allowed", "status=200"],
        ["request_id=req-malformed", "status=422"],
        ["request_id=req-stranger", "status=401"],
    ]
    for secret in (SECRET, one.key, AGENT_KEY):
        assert secret not in "\n".join(told)


@pytest.mark.django_db(transaction=True)
def test_without_debug_only_errors_leave_a_line(one: World) -> None:
    size = one.server.log.stat().st_size
    one.check("email.send")
    one.post("/sdk/check", {"agent_id": "support-bot"}, X_Request_ID="a-malformed-one")
    one.post("/sdk/check", {"agent_id": "support-bot"}, AGENT_KEY)
    told = one.server.log.read_text()[size:]
    assert [line for line in told.splitlines() if "gateway.request" in line and "a-malformed-one" in line]
    assert told.count("gateway.request") == 1


def test_a_traceback_keeps_its_lines(lines: io.StringIO) -> None:
    try:
        raise RuntimeError(f"cannot reach postgresql://warden:{SECRET}@db/warden")
    except RuntimeError as error:
        structlog.get_logger("ours").error("broke", exc_info=error)
        assert SECRET in traceback.format_exc()
    [line] = written(lines)
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert f"postgresql://warden:{BLANK}@db/warden" in line["exception"]
