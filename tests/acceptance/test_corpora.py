"""Hostile JSON to every endpoint that takes a body of agents, and schemathesis on their document: no 500, no allow."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.models import Agent, Permission
from approvals.models import Approval, Comment, ToolCall
from audit.models import Event
from tests.gateway.conftest import World, make_key
from warden.api.openapi import document

pytestmark = pytest.mark.django_db(transaction=True)
CALLER = "spiffe://example.com/agent/support/production"

CORPUS: dict[str, bytes] = {
    "not a number": b"NaN",
    "infinity": b"-Infinity",
    "overflow": b"1e400",
    "5,000 digits": b"1" * 5_000,
    "duplicate keys": b'{"a":1,"a":2}',
    "duplicate keys by escape": b'{"a":1,"\\u0061":2}',
    "lone surrogate": b'"\\ud800"',
    "lone surrogate in a key": b'{"\\udfff":1}',
    "not UTF-8": b'"\xff\xfe"',
    "lists of depth 10,000": b"[" * 10_000 + b"]" * 10_000,
    "objects of depth 10,000": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "brackets that never close": b"[" * 100_000,
    "10 MB of text": b'"' + b"x" * 10_000_000 + b'"',
    "10 MB of numbers": b"[" + b"1," * 5_000_000 + b"1]",
    "a second value": b'1}}}{"a":1',
    "nothing": b"",
}


@dataclass
class Place:
    """An endpoint and a body that it would take, with a hole where any JSON value, or any text, may stand."""

    path: str
    body: str
    headers: dict[str, str]

    def fill(self, value: bytes) -> bytes:
        before, _, after = self.body.encode().partition(b'"HOLE"')
        return before + value + after


@pytest.fixture
def places(world: World) -> dict[str, Place]:
    """Every endpoint with a body, as the document names it; what stands in the hole decides whether it is an allow."""
    Agent.objects.filter(pk=world.bot.pk).update(spiffe_id=CALLER)
    Permission.objects.create(agent=world.bot, action="agentweave.query", effect="allow")
    approved, asked = world.pending()["approval_id"], world.pending()["approval_id"]
    world.decide(approved)
    ours = {"X-API-Key": world.key, "Idempotency-Key": "k"}
    opa = {"Authorization": f"Bearer {make_key(world.acme, agent=world.bot, scopes=['authz:query'])}"}
    aap = {"Authorization": f"Bearer {make_key(world.acme, agent=world.bot, scopes=['aap'])}", "Idempotency-Key": "k"}
    bot = '"agent_id": "support-bot", "action": "email.send"'
    return {
        "/sdk/check": Place("/sdk/check", f'{{{bot}, "context": {{"a": "HOLE"}}}}', ours),
        "/sdk/log": Place("/sdk/log", f'{{{bot}, "status": "success", "context": {{"a": "HOLE"}}}}', ours),
        "/sdk/approvals/{approval_id}/claim": Place(f"/sdk/approvals/{approved}/claim", '{"audience": "HOLE"}', ours),
        "/sdk/approvals/{approval_id}/comments": Place(f"/sdk/approvals/{asked}/comments", '{"text": "HOLE"}', ours),
        "/v1/data/{path}": Place(
            "/v1/data/agentweave/authz",
            f'{{"input": {{"caller_spiffe_id": "{CALLER}", "action": "query", "context": {{"a": "HOLE"}}}}}}',
            opa,
        ),
        "/aap/v1/requests": Place(
            "/aap/v1/requests", '{"tool": "email.send", "timeout": "1m", "arguments": {"a": "HOLE"}}', aap
        ),
    }


def test_no_endpoint_with_a_body_is_left_out(places: dict[str, Place]) -> None:
    """Those that manage instances and tell outcomes: tests/aap/test_conformance.py."""
    of_agents = {
        path
        for path, methods in document()["paths"].items()
        if path.startswith(("/sdk/", "/v1/", "/aap/")) and "requestBody" in methods.get("post", {})
    }
    assert of_agents - {"/aap/v1/requests/{id}/outcome", "/aap/v1/instances"} == places.keys()


def test_each_place_takes_what_is_right(world: World, places: dict[str, Place]) -> None:
    """Else what follows would prove nothing."""
    for name, place in places.items():
        answer = world.client.post(place.path, content=place.fill(b'"right"'), headers=place.headers)
        assert answer.status_code in (200, 201), (name, answer.text)
    assert Event.objects.filter(result="allow", kind="agent:check:allow").count() == 3
    assert Approval.objects.exclude(claimed_at=None).count() == Comment.objects.count() == 1


def test_hostile_json_is_refused_everywhere_and_does_nothing(world: World, places: dict[str, Place]) -> None:
    before = Event.objects.count()
    for kind, value in CORPUS.items():
        for name, place in places.items():
            answer = world.client.post(place.path, content=place.fill(value), headers=place.headers, timeout=60)
            assert answer.status_code in (200, 400, 413, 422), (kind, name, answer.status_code, answer.text[:300])
            if answer.status_code == 200:  # an OPA's question that is none is answered, with a no
                assert (name, answer.json()["result"]["allow"]) == ("/v1/data/{path}", False), kind
    assert not Event.objects.filter(result="allow").exists()
    assert Event.objects.count() - before <= len(CORPUS)
    assert not Approval.objects.exclude(claimed_at=None).exists()
    assert not Comment.objects.exists()
    assert not ToolCall.objects.exists()


@pytest.fixture
def idle(world: World) -> Iterator[httpx.Client]:
    """A client of an agent that may do nothing without a person."""
    Permission.objects.all().update(effect="ask")
    Agent.objects.filter(pk=world.bot.pk).update(spiffe_id=CALLER)
    key = make_key(world.acme, agent=world.bot, scopes=["sdk", "authz:query"])
    with httpx.Client(base_url=world.server.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        yield client


def test_what_the_document_lets_through_is_answered_as_it_says(world: World, idle: httpx.Client) -> None:
    made = json.loads(json.dumps(document()))
    made["paths"] = {path: methods for path, methods in made["paths"].items() if path.startswith(("/sdk/", "/v1/"))}
    schema = schemathesis.openapi.from_dict(made)
    asked = world.pending()["approval_id"]

    def try_out(operation: Any) -> None:
        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(), mine=st.booleans())
        def send(case: Any, mine: bool) -> None:
            if (
                mine
                and "approval_id" in (case.path_parameters or {})
                and not case.path.endswith(("/events", "/cancel"))
            ):
                case.path_parameters["approval_id"] = asked
            case.query = {name: value for name, value in (case.query or {}).items() if name != "wait"}
            case.headers = {name: each for name, each in (case.headers or {}).items() if name.lower() != "x-api-key"}
            answer = case.call(base_url=world.server.url, headers=dict(idle.headers))
            case.validate_response(
                answer,
                excluded_checks=[
                    schemathesis.checks.CHECKS.get_one("positive_data_acceptance"),  # of somebody else's agent, say
                    schemathesis.checks.CHECKS.get_one("unsupported_method"),
                    schemathesis.checks.CHECKS.get_one("ignored_auth"),  # the key is ours, whatever was made up
                ],
            )
            assert answer.status_code < 500
            assert b'"allowed":true' not in answer.content
            assert b'"allow":true' not in answer.content

        send()

    for result in schema.get_all_operations():
        try_out(result.ok())
    assert not Event.objects.filter(result="allow").exists()
    assert not Approval.objects.exclude(claimed_at=None).exists()
