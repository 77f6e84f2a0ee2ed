"""The document of /aap against the server, every error code, and whatever else may be sent: no 500, no approval."""

import http.client
import json
import socket
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.by import COMMAND_LINE
from agents.models import Instance, Permission
from agents.services.privacy import add_rule
from approvals.models import Approval, ToolCall
from gateway.aap import errors
from tests.aap.conftest import Desk
from tests.docs.pages import table
from tests.gateway.conftest import make_key
from tests.server import Server
from warden.api.openapi import document

pytestmark = pytest.mark.django_db(transaction=True)
ID = "6a1f0bd2-9d5e-4b43-9ad5-0f6f2d3f4f10"


@pytest.fixture
def idle(desk: Desk) -> Desk:
    """A desk whose agent may do nothing without a person."""
    Permission.objects.all().update(effect="ask")
    return desk


def test_what_the_document_lets_through_is_answered_as_it_says(idle: Desk) -> None:
    made = json.loads(json.dumps(document()))
    made["paths"] = {path: methods for path, methods in made["paths"].items() if path.startswith("/aap/")}
    schema = schemathesis.openapi.from_dict(made)
    tokens = {"provisionerToken": idle.provisioner(), "agentBearer": idle.token}
    asked = idle.ask()["id"]

    def try_out(operation: Any, token: str) -> None:
        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(), mine=st.booleans())
        def send(case: Any, mine: bool) -> None:
            if mine and "id" in (case.path_parameters or {}) and "/requests/" in case.path:
                case.path_parameters["id"] = asked
            case.query = {name: value for name, value in (case.query or {}).items() if name != "wait"}
            answer = case.call(base_url=idle.world.server.url, headers={"Authorization": f"Bearer {token}"})
            case.validate_response(
                answer,
                excluded_checks=[
                    schemathesis.checks.CHECKS.get_one("positive_data_acceptance"),  # a name may make no action
                    schemathesis.checks.CHECKS.get_one("unsupported_method"),
                ],
            )
            assert answer.status_code < 500
            assert answer.status_code == 204 or answer.json().get("status") != "approved"

        send()

    for result in schema.get_all_operations():
        operation = result.ok()
        [scheme] = operation.definition.raw["security"]
        try_out(operation, tokens[next(iter(scheme))])
    assert not ToolCall.objects.exclude(consumed_at=None).exists()


TEXTS: dict[str, bytes] = {
    "duplicate keys": b'{"tool":"email.send","tool":"email.send","arguments":{},"timeout":"1m"}',
    "duplicate keys by escape": b'{"tool":"email.send","arguments":{"a":1,"\\u0061":2},"timeout":"1m"}',
    "not a number": b'{"tool":"email.send","arguments":{"amount":NaN},"timeout":"1m"}',
    "infinity": b'{"tool":"email.send","arguments":{"amount":-Infinity},"timeout":"1m"}',
    "overflow": b'{"tool":"email.send","arguments":{"amount":1e400},"timeout":"1m"}',
    "beyond a double": b'{"tool":"email.send","arguments":{"amount":9007199254740993},"timeout":"1m"}',
    "lone surrogate": b'{"tool":"email.send","arguments":{"a":"\\ud800"},"timeout":"1m"}',
    "lone surrogate in context": b'{"tool":"email.send","arguments":{},"timeout":"1m","context":{"a":"\\udfff"}}',
    "depth 10,000": b'{"tool":"email.send","timeout":"1m","arguments":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
    "depth 10,000 in context": b'{"tool":"email.send","timeout":"1m","arguments":{},"context":{"a":'
    + b"[" * 10_000
    + b"]" * 10_000
    + b"}}",
    "10 MB": b'{"tool":"email.send","timeout":"1m","arguments":{"a":"' + b"x" * 10_000_000 + b'"}}',
    "null for absent": b'{"tool":"email.send","arguments":{},"timeout":"1m","server":null}',
    "unknown field": b'{"tool":"email.send","arguments":{},"timeout":"1m","status":"approved"}',
    "not UTF-8": b'{"tool":"email.send","arguments":{"a":"\xff"},"timeout":"1m"}',
    "a mark at the start": b'\xef\xbb\xbf{"tool":"email.send","arguments":{},"timeout":"1m"}',
    "arguments are a list": b'{"tool":"email.send","arguments":[],"timeout":"1m"}',
    "no duration": b'{"tool":"email.send","arguments":{},"timeout":"1.5m"}',
    "no positive duration": b'{"tool":"email.send","arguments":{},"timeout":"0s"}',
    "a duration with a line": b'{"tool":"email.send","arguments":{},"timeout":"1m\\n"}',
    "nothing": b"",
    "two values": b'{"tool":"email.send","arguments":{},"timeout":"1m"}{}',
}


@pytest.mark.parametrize("body", TEXTS.values(), ids=TEXTS)
def test_hostile_json_is_refused_everywhere_and_makes_nothing(desk: Desk, body: bytes) -> None:
    token, made = desk.provisioner(), desk.ask(amount=20)
    for method, path, whose in (
        ("POST", "/requests", desk.token),
        ("POST", f"/requests/{made['id']}/outcome", desk.token),
        ("POST", "/instances", token),
        ("PATCH", f"/instances/{ID}", token),
    ):
        answer = desk.send(method, path, body, whose, Idempotency_Key=f"h-{method}")
        assert answer.status_code in (400, 413), (path, answer.status_code, answer.text)
        said = answer.json()["error"]
        assert (said["type"], said["request_id"]) == ("invalid_request", answer.headers["X-Request-ID"])
    assert ToolCall.objects.count() == 1


def test_any_bytes_on_any_path_are_answered_and_approve_nothing(idle: Desk) -> None:
    asked = idle.ask()["id"]
    token = idle.provisioner()
    paths = st.sampled_from(["/requests", f"/requests/{asked}", f"/requests/{asked}/outcome", "/instances", "/x", "//"])
    verbs = st.sampled_from(["GET", "POST", "POST", "PATCH", "PUT", "OPTIONS", "BREW"])
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
    right = st.fixed_dictionaries(
        {"tool": st.sampled_from(["email.send", "deploy.production", "x"]) | st.text(), "timeout": st.just("1m")},
        optional={"arguments": st.dictionaries(st.text(), values), "context": values, "server": st.text()},
    )
    bodies = st.binary(max_size=100) | (values | right).map(
        lambda value: json.dumps(value).encode("utf-8", "surrogatepass")
    )

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(verb=verbs, path=paths, body=bodies, mine=st.booleans(), key=st.sampled_from(["a", "b", "é", "", "x y"]))
    def send(verb: str, path: str, body: bytes, mine: bool, key: str) -> None:
        headers = {"Authorization": f"Bearer {idle.token if mine else token}"}
        answer = idle.world.client.request(
            verb, f"/aap/v1{path}", content=body, headers={**headers, "Idempotency-Key": key.encode()}
        )
        assert answer.status_code in (200, 201, 400, 401, 403, 404, 405, 409), (answer.status_code, answer.text)
        assert answer.json().get("status") not in ("approved",)
        assert uuid.UUID(answer.headers["X-Request-ID"])

    send()
    assert Approval.objects.filter(state="approved").count() == 0


@pytest.fixture
def cramped(transactional_db: None) -> Iterator[Server]:
    """A server that takes one registration a minute, and waits a second for a body."""
    with Server(AAP_PROVISION_RATE_LIMIT="1", GATEWAY_BODY_SECONDS="1") as server:
        yield server


def half_a_body(url: str, token: str) -> httpx.Response:
    """What is answered to who sends half of a request, and then nothing."""
    host, _, port = url.removeprefix("http://").partition(":")
    told = f"POST /aap/v1/requests HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as line:
        line.sendall(f"{told}Idempotency-Key: slow\r\nConnection: close\r\n\r\n{{".encode())
        answer = http.client.HTTPResponse(line, method="POST")
        answer.begin()
        return httpx.Response(answer.status, headers=dict(answer.getheaders()), content=answer.read())


def test_every_error_code_is_produced_and_explained(desk: Desk, cramped: Server) -> None:
    token, got = desk.provisioner(), {}

    def see(answer: httpx.Response) -> httpx.Response:
        if answer.status_code >= 400:
            said = answer.json()["error"]
            assert said.keys() == {"type", "code", "message", "request_id"}
            assert said["request_id"] == answer.headers["X-Request-ID"]
            got[answer.status_code, said["code"]] = said["type"]
        return answer

    def send(*arguments: Any, **headers: str) -> httpx.Response:
        return see(desk.send(*arguments, **headers))

    right = {"tool": "stripe.refund", "arguments": {"amount": 500}, "timeout": "10m"}
    secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    delivery = {"type": "webhook", "url": "http://127.0.0.1:9/", "registration_id": ID, "signing_secret": secret}
    send("POST", "/requests", {}, Idempotency_Key="k")
    send("POST", "/requests", right)
    send("GET", f"/requests/{ID}", None, "ak_nonsense")
    send("POST", "/requests", right, token, Idempotency_Key="k")
    send("POST", "/instances", {}, Idempotency_Key="k")
    send("GET", f"/requests/{ID}")
    send("PUT", "/requests", right)
    send("POST", "/requests", b" " * 300_000, Idempotency_Key="k")
    asked, again = desk.ask("k-1"), {**right, "timeout": "1m"}
    send("POST", "/requests", again, Idempotency_Key="k-1")
    consume: Callable[[str], httpx.Response] = lambda key: send(  # noqa: E731
        "POST", f"/requests/{asked['id']}/consume", Idempotency_Key=key
    )
    consume("c")
    desk.decide(asked)
    send("DELETE", f"/requests/{asked['id']}")
    outcome = f"/requests/{asked['id']}/outcome"
    send("POST", outcome, {"status": "failed"})
    consume("c")
    consume("d")
    send("POST", outcome, {"status": "failed"})
    send("POST", outcome, {"status": "succeeded"})
    late = desk.ask("k-2", amount=20)
    ToolCall.objects.filter(id=late["id"]).update(decided_at="2026-01-01T00:00Z", expires_at="2026-01-01T01:00Z")
    send("POST", f"/requests/{late['id']}/consume", Idempotency_Key="c")
    send("POST", "/instances", {"delivery": {**delivery, "type": "x"}}, token, Idempotency_Key="p")
    send("POST", "/instances", {"delivery": {**delivery, "url": "http://10.0.0.1/"}}, token, Idempotency_Key="p")
    send("POST", "/instances", {"delivery": delivery}, token, Idempotency_Key="p")
    made = send("POST", "/instances", {}, token, Idempotency_Key="p").json()
    send("DELETE", f"/instances/{made['instance']['id']}", None, token)
    send("POST", "/instances", {}, token, Idempotency_Key="p")
    add_rule(
        organization=desk.world.acme, by=COMMAND_LINE, action="*", path="email", treatment="encrypt", subject="customer"
    )
    covered = {"tool": "email.send", "arguments": {"customer": "c", "email": "c@example.com"}, "timeout": "1m"}
    send("POST", "/requests", covered, Idempotency_Key="k-3")
    few = make_key(desk.world.acme, agent=desk.world.bot, scopes=["aap"], rate_limit=1)
    for _ in range(2):
        send("GET", f"/requests/{ID}", None, few)
    for _ in range(2):
        headers = {"Authorization": f"Bearer {token}"}
        see(httpx.get(f"{cramped.url}/aap/v1/instances/{ID}", headers=headers))
    see(half_a_body(cramped.url, desk.token))
    send("POST", "/instances", {}, token, Idempotency_Key="p-2")
    Instance.objects.update(issued="sealed under a SECRET_KEY that is gone")
    send("POST", "/instances", {}, token, Idempotency_Key="p-2")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM agents_epoch")
        send("POST", "/requests", right, Idempotency_Key="k-5")
        cursor.execute("INSERT INTO agents_epoch (id, value) VALUES (1, (random() * 1e15)::bigint)")
    listed = {(int(row["status"]), row["code"].strip("`")) for row in table("docs/aap.md", "status", "code")}
    assert set(got) == listed
    assert {status: kind for (status, _), kind in got.items()} == {
        status: errors.TYPES.get(status, "invalid_request") for status, _ in got
    }
