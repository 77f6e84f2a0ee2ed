"""POST /sdk/check, as agents see it, over HTTP against the running server."""

import json

import pytest

from agents.models import Agent
from audit.ids import read_id
from audit.leaf import leaf_hash
from audit.models import Event
from tests import factories
from tests.gateway.conftest import World, make_key

pytestmark = pytest.mark.django_db(transaction=True)


def event_of(answer: dict) -> Event:
    return Event.objects.get(id=read_id("evt", answer["audit"]["event_id"]))


def test_a_small_refund_passes_and_is_recorded(world: World) -> None:
    answer = world.check("stripe.refund", {"amount": 25.0, "customer_id": "cus_1"})
    assert (answer["allowed"], answer["requires_approval"], answer["status"]) == (True, False, "allowed")
    assert answer["permission"] == "stripe.refund.small"
    event = event_of(answer)
    assert (event.kind, event.result, event.agent, event.action) == (
        "agent:check:allow",
        "allow",
        "support-bot",
        "stripe.refund",
    )
    assert bytes(event.leaf) == leaf_hash(event.body)
    assert bytes(event.leaf).hex() == answer["audit"]["leaf_hash"]
    assert event.data["context"] == {"amount": 25, "customer_id": "cus_1"}
    assert read_id("dec", answer["decision_id"]) == event.id


def test_a_large_refund_waits_with_the_words_of_the_contract(world: World) -> None:
    answer = world.check("stripe.refund", {"amount": 500})
    assert answer["allowed"] is False
    assert answer["requires_approval"] is True
    assert answer["reason"] == "This action requires human approval"
    assert answer["approval_id"].startswith("apr_")
    assert answer["approval_url"] == f"{world.server.url}/approvals/{answer['approval_id']}"
    assert event_of(answer).target == answer["approval_id"]


@pytest.mark.parametrize(
    ("action", "context", "reason"),
    [
        ("stripe.refund", {"amount": 1500}, "Amount 1500.00 exceeds maximum allowed 1000.00"),
        ("stripe.refund.small", {"amount": 150}, "Amount 150.00 exceeds maximum allowed 50.00"),
        ("x.y", None, "No permission for action 'x.y'"),
        ("database.drop", {}, "Denied by permission 'database.drop'"),
    ],
)
def test_a_denial_says_why(world: World, action: str, context: object, reason: str) -> None:
    answer = world.check(action, context)
    assert (answer["allowed"], answer["requires_approval"]) == (False, False)
    assert answer["reason"] == reason
    assert event_of(answer).result == "deny"


def test_an_identical_check_finds_the_same_request(world: World) -> None:
    first = world.check("stripe.refund", {"amount": 500, "to": "a"})
    again = world.check("stripe.refund", {"to": "a", "amount": 500.0})
    other = world.check("stripe.refund", {"amount": 500, "to": "b"})
    assert first["approval_id"] == again["approval_id"] != other["approval_id"]


def test_an_approved_check_is_allowed_once(world: World) -> None:
    context = {"amount": 500, "to": "a"}
    asked = world.check("stripe.refund", context)
    world.decide(asked["approval_id"])
    taken = world.check("stripe.refund", context)
    assert taken["allowed"] is True
    assert taken["approval_id"] == asked["approval_id"]
    assert event_of(taken).kind == "agent:approval:claim"
    after = world.check("stripe.refund", context)
    assert after["allowed"] is False
    assert after["status"] == "pending"
    assert after["approval_id"] != asked["approval_id"]


def test_a_denied_check_stays_denied_for_the_cool_down(world: World) -> None:
    context = {"amount": 500, "to": "a"}
    asked = world.check("stripe.refund", context)
    world.decide(asked["approval_id"], "deny", reason="not this one")
    again = world.check("stripe.refund", context)
    assert (again["allowed"], again["requires_approval"]) == (False, False)
    assert again["reason"].endswith("not this one")
    type(world.acme).objects.update(cooldown_seconds=0)
    fresh = world.check("stripe.refund", context)
    assert fresh["status"] == "pending"
    assert fresh["approval_id"] != asked["approval_id"]


def test_an_idempotency_key_repeats_the_allow_and_refuses_another_body(world: World) -> None:
    body = {"agent_id": "support-bot", "action": "stripe.refund", "context": {"amount": 20}}
    first = world.post("/sdk/check", body, Idempotency_Key="k-1")
    again = world.post("/sdk/check", body, Idempotency_Key="k-1")
    assert first.json()["allowed"] is True
    assert again.json() == first.json()
    assert Event.objects.filter(kind="agent:check:allow").count() == 1
    other = world.post("/sdk/check", body | {"context": {"amount": 21}}, Idempotency_Key="k-1")
    assert other.status_code == 422
    assert "allowed" not in other.json()


def test_an_idempotency_key_makes_one_approval(world: World) -> None:
    body = {"agent_id": "support-bot", "action": "stripe.refund", "context": {"amount": 500}}
    first = world.post("/sdk/check", body | {"idempotency_key": "k-2"}).json()
    world.decide(first["approval_id"])
    again = world.post("/sdk/check", body | {"idempotency_key": "k-2"}).json()
    assert again == first


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b"[]", "Expected `object`"),
        (b'{"agent_id": "support-bot"}', "action"),
        (b'{"agent_id": 5, "action": "a.b"}', "agent_id"),
        (b'{"agent_id": "support-bot", "action": "a.b", "context": []}', "context"),
        (b'{"agent_id": "support-bot", "action": "email.send", "action": "email.send"}', "twice"),
        (b'{"agent_id": "support-bot", "action": "email.send", "context": {"a": NaN}}', "NaN"),
        (b'{"agent_id": "support-bot", "action": "email.send", "context": {"a": 1e400}}', "finite"),
        (b'{"agent_id": "support-bot", "action": "email.send", "context": {"a": 12345678901234567890}}', "too large"),
        (b'{"agent_id": "support-bot", "action": "email.send", "context": {"a": 0.1000000000000000055}}', "digits"),
        (b'{"agent_id": "support-bot", "action": "email.send", "context": {"a": "\\ud800"}}', "surrogate"),
        (b'{"agent_id": "support-bot", "action": "email.send", "context": ' + b'{"a":' * 100 + b"1" + b"}" * 101, "64"),
        (b'{"agent_id": "support-bot", "action": "email.send", "context": ' + b"[" * 20_000, "nested"),
        (b'{"agent_id": "support-bot", "action": "email\\u0000.send"}', "action"),
    ],
)
def test_a_body_that_cannot_be_taken_is_refused_with_the_place(world: World, body: bytes, said: str) -> None:
    response = world.client.post("/sdk/check", content=body, headers={"X-API-Key": world.key})
    assert response.status_code == 422, response.text
    assert said in response.json()["detail"]
    assert not Event.objects.exists()


def test_a_body_over_the_limit_is_refused(world: World) -> None:
    body = {"agent_id": "support-bot", "action": "email.send", "context": {"text": "x" * 300_000}}
    assert world.post("/sdk/check", body).status_code == 413


def test_without_a_good_key_nothing_opens(world: World) -> None:
    body = {"agent_id": "support-bot", "action": "email.send"}
    for key in ["", "ak_wrong", world.key[:-1] + ("0" if world.key[-1] != "0" else "1"), "ak_" + "0" * 37]:
        response = world.client.post("/sdk/check", json=body, headers={"X-API-Key": key})
        assert response.status_code == 401
        assert response.json() == {"detail": "Invalid API key"}
        assert response.headers["X-Request-ID"]
    assert world.client.post("/sdk/check", json=body).status_code == 401
    bearer = world.client.post("/sdk/check", json=body, headers={"Authorization": f"Bearer {world.key}"})
    assert bearer.json()["allowed"] is True


def test_an_unknown_agent_is_not_found_and_a_bound_key_speaks_for_its_own_alone(world: World) -> None:
    body = {"agent_id": "nobody", "action": "email.send"}
    assert world.post("/sdk/check", body, make_key(world.acme)).status_code == 404
    assert world.post("/sdk/check", body).status_code == 403
    assert Event.objects.filter(kind="agent:check:refuse").count() == 2
    by_id = world.post("/sdk/check", body | {"agent_id": str(world.bot.id)})
    assert by_id.json()["allowed"] is True


def test_a_ban_a_revocation_and_a_stop_hold_from_their_commit_on(world: World) -> None:
    assert world.check("email.send")["allowed"] is True
    type(world.bot).objects.update(status="banned")
    assert world.check("email.send")["reason"] == "Agent is banned"
    type(world.bot).objects.update(status="active")
    assert world.check("email.send")["allowed"] is True
    stop = factories.a_stop(world.acme)
    assert world.check("email.send")["reason"] == "Organization is paused"
    stop.delete()
    world.bot.api_keys.update(revoked_at="2026-01-01T00:00:00Z")
    assert world.post("/sdk/check", {"agent_id": "support-bot", "action": "email.send"}).status_code == 401


def test_an_expired_key_opens_nothing(world: World) -> None:
    key = make_key(world.acme, expires_at="2026-01-01T00:00:00Z")
    response = world.post("/sdk/check", {"agent_id": "support-bot", "action": "email.send"}, key)
    assert response.status_code == 401


def test_test_mode_and_live_are_two_worlds(world: World) -> None:
    live = world.check("stripe.refund", {"amount": 500})
    test = world.check("stripe.refund", {"amount": 500}, key=world.test_key)
    assert live["approval_id"] != test["approval_id"]
    assert world.get(f"/sdk/approvals/{live['approval_id']}", world.test_key).status_code == 404
    assert event_of(test).mode == "test"


def test_every_authenticated_answer_says_what_is_left(world: World) -> None:
    key = make_key(world.acme, rate_limit=3)
    body = {"agent_id": "support-bot", "action": "email.send"}
    answers = [world.post("/sdk/check", body, key) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["X-RateLimit-Limit"] == "3"
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
    assert "allowed" not in answers[3].json()


def test_the_key_is_nowhere_in_the_record(world: World) -> None:
    world.check("email.send", {"note": "x"})
    assert not Event.objects.filter(body__contains=world.key[5:]).exists()
    assert json.loads(Event.objects.get().body)["actor"]["label"] == "support-bot"


def test_a_key_learns_whose_it_is_as_long_as_it_opens_anything(world: World) -> None:
    bound = world.get("/sdk/whoami").json()
    assert (bound["agent_id"], bound["mode"], bound["environment"]) == ("support-bot", "live", None)
    assert bound["organization_id"] == str(world.acme.id)
    assert world.get("/sdk/whoami", world.test_key).json() | {"key_id": ""} == {
        "key_id": "",
        "key_name": "a key",
        "organization_id": str(world.acme.id),
        "mode": "test",
        "agent_id": None,
        "environment": None,
        "scopes": ["sdk"],
        "expires_at": None,
    }
    assert world.key not in world.get("/sdk/whoami").text
    expired = make_key(world.acme, expires_at="2026-01-01T00:00:00Z")
    assert world.get("/sdk/whoami", expired).status_code == 401
    world.bot.api_keys.update(revoked_at="2026-01-01T00:00:00Z")
    assert world.get("/sdk/whoami").status_code == 401


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        (f"cc-{TRACE}-00f067aa0ba902b7-01-more", TRACE),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", None),
        ("mallory", None),
        (None, None),
    ],
)
def test_the_record_names_the_caller_and_the_trace_that_a_check_is_part_of(
    world: World, traceparent: str | None, trace_id: str | None
) -> None:
    caller = f"spiffe://example.com/agent/{world.acme.slug}"
    Agent.objects.filter(pk=world.bot.pk).update(spiffe_id=caller)
    given = {"X-API-Key": world.key, **({"traceparent": traceparent} if traceparent else {})}
    said = {"agent_id": "support-bot", "action": "email.send"}
    answer = world.client.post("/sdk/check", json=said, headers=given).json()
    data = event_of(answer).data
    assert (data["caller"], data.get("trace_id")) == (caller, trace_id)
