"""What a hostile agent would try at the door, and what must not come of it."""

import json
import time
import uuid

import httpx
import psycopg
import pytest
from django.db import connection

from agents.models import Agent, ApiKey, Permission
from approvals.models import Approval
from approvals.rules import Refused
from audit.ids import new_id, read_id
from audit.models import Event
from tests.gateway.conftest import World, make_key, tiers
from tests.server import web_database_url

pytestmark = pytest.mark.django_db(transaction=True)


def body(action: str = "email.send", context: object = None) -> dict:
    return {"agent_id": "support-bot", "action": action, "context": context}


def keys_of(world: World, *environments: str) -> list[str]:
    return [make_key(world.acme, agent=world.bot, environment=name) for name in environments]


# One key, one answer, and nobody else's


def test_an_idempotency_key_does_not_carry_an_allow_into_another_environment(world: World) -> None:
    Permission.objects.filter(action="email.send").update(environment="staging")
    staging, production = (
        make_key(world.acme, agent=world.bot, environment=name) for name in ("staging", "production")
    )
    assert world.post("/sdk/check", body(), staging, Idempotency_Key="job-7").json()["allowed"] is True
    assert world.post("/sdk/check", body(), production, Idempotency_Key="job-7").json()["allowed"] is False


def test_an_approval_for_staging_is_none_for_production(world: World) -> None:
    staging, production = (
        make_key(world.acme, agent=world.bot, environment=name) for name in ("staging", "production")
    )
    asked = world.check("deploy.production", {"version": "1"}, key=staging)
    world.decide(asked["approval_id"])
    other = world.check("deploy.production", {"version": "1"}, key=production)
    assert other["allowed"] is False
    assert other["approval_id"] != asked["approval_id"]
    assert world.check("deploy.production", {"version": "1"}, key=staging)["allowed"] is True


def test_another_agent_with_the_same_idempotency_key_does_not_get_the_claim(world: World) -> None:
    other = Agent.objects.create(organization=world.acme, slug="other-bot", name="Other")
    tiers(other)
    asked = world.pending()
    world.decide(asked["approval_id"])
    path = f"/sdk/approvals/{asked['approval_id']}/claim"
    assert world.post(path, None, Idempotency_Key="claim-1").status_code == 200
    assert world.post(path, None, make_key(world.acme, agent=other), Idempotency_Key="claim-1").status_code == 404


def test_an_idempotency_key_is_the_agents_by_whichever_name(world: World) -> None:
    assert world.post("/sdk/check", body(), Idempotency_Key="k").status_code == 200
    by_id = world.post("/sdk/check", body() | {"agent_id": str(world.bot.id)}, Idempotency_Key="k")
    assert (by_id.status_code, by_id.json()["code"]) == (422, "idempotency_conflict")


def test_a_log_with_an_idempotency_key_is_written_once(world: World) -> None:
    said = {"agent_id": "support-bot", "action": "email.send", "status": "success", "context": {"n": 1}}
    first, again = (world.post("/sdk/log", said, Idempotency_Key="log-1") for _ in range(2))
    assert first.json() == again.json()
    assert Event.objects.filter(kind="agent:action:log").count() == 1
    assert world.post("/sdk/log", said | {"status": "failed"}, Idempotency_Key="log-1").status_code == 422


def test_nobody_approves_what_their_own_key_asks_again(world: World) -> None:
    asked = world.check("deploy.production", {"version": "1"})
    own = make_key(world.acme, agent=world.bot, created_by=world.approver)
    assert world.check("deploy.production", {"version": "1"}, key=own)["approval_id"] == asked["approval_id"]
    with pytest.raises(Refused, match="on your behalf"):
        world.decide(asked["approval_id"], by=world.approver)
    world.decide(asked["approval_id"], by=world.colleague)
    assert world.check("deploy.production", {"version": "1"}, key=own)["allowed"] is True


# Keys end


def test_a_revoked_an_expired_and_a_narrowed_key_read_no_approval(world: World) -> None:
    asked = world.pending()
    path = f"/sdk/approvals/{asked['approval_id']}"
    key = make_key(world.acme, agent=world.bot)
    assert world.get(path, key).status_code == 200
    row = ApiKey.objects.filter(last4=key[-4:])
    row.update(scopes=["authz:query"])
    assert world.get(path, key).status_code == 403
    row.update(scopes=["sdk"], expires_at="2026-01-01T00:00:00Z")
    assert world.get(path, key).status_code == 401
    row.update(expires_at=None)
    assert world.get(path, key).status_code == 200
    row.update(revoked_at="2026-01-01T00:00:00Z")
    assert world.get(path, key).status_code == 401


def test_a_stream_ends_with_its_key(world: World) -> None:
    asked = world.pending()
    key = make_key(world.acme, agent=world.bot)
    path = f"{world.server.url}/sdk/approvals/{asked['approval_id']}/events"
    began = time.monotonic()
    with httpx.stream("GET", path, headers={"X-API-Key": key}, timeout=20) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                ApiKey.objects.filter(last4=key[-4:]).update(revoked_at="2026-01-01T00:00:00Z")
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT pg_notify('warden_approval', %s)", [str(read_id("apr", asked["approval_id"]))]
                    )
    assert time.monotonic() - began < 10


def test_one_of_two_keys_is_never_chosen(world: World) -> None:
    stranger = "ak_" + "0" * 37
    for name in ("X-API-Key", "Authorization", "Idempotency-Key"):
        twice = [(name, world.key), (name, stranger)]
        headers = twice if name == "X-API-Key" else [("X-API-Key", world.key), *twice]
        assert world.client.post("/sdk/check", json=body(), headers=headers).status_code == 400


# What an agent says


@pytest.mark.parametrize("currency", ["BITCOIN", "usd", "\0\0\0", "€€€", ""])
def test_a_currency_that_is_none_is_asked_about_all_the_same(world: World, currency: str) -> None:
    answer = world.check("deploy.production", {"amount": 5, "currency": currency})
    assert answer["status"] == "pending"
    assert Approval.objects.get().currency == ("USD" if currency == "usd" else "")


def test_an_amount_that_no_approver_could_be_shown_is_denied(world: World) -> None:
    answer = world.check("deploy.production", {"amount": "9" * 30})
    assert (answer["status"], answer["reason"]) == ("denied", "Amount is too large to ask about")
    assert not Approval.objects.exists()


def test_a_number_past_the_safe_integers_can_be_claimed(world: World) -> None:
    asked = world.check("deploy.production", {"bytes": 1e16})
    world.decide(asked["approval_id"])
    path = f"/sdk/approvals/{asked['approval_id']}/claim"
    assert world.post(path, None, Idempotency_Key="c").status_code == 200


def test_a_line_feed_at_the_end_is_not_swallowed(world: World) -> None:
    assert world.post("/sdk/check", body("email.send\n")).status_code == 422
    assert world.post("/sdk/check", body() | {"idempotency_key": "k\n"}).status_code == 422
    assert not Event.objects.exists()


def test_a_body_of_very_many_values_is_refused_and_long_texts_are_not(world: World) -> None:
    refused = world.post("/sdk/check", body(context={"a": [1.5e20] * 6_000}))
    assert refused.status_code == 422
    assert "values" in refused.json()["detail"]
    assert world.check("email.send", {"text": 'a,"b",\\' * 6_000})["allowed"] is True


def test_a_large_body_counts_as_several_requests(world: World) -> None:
    key = make_key(world.acme, rate_limit=10)
    large = world.post("/sdk/check", body(context={"text": "x" * 20_000}), key)
    assert large.headers["X-RateLimit-Remaining"] == "5"
    assert world.post("/sdk/check", body(context={"text": "x" * 40_000}), key).status_code == 429


def test_why_a_condition_failed_is_in_the_record(world: World) -> None:
    Permission.objects.filter(action="email.send").update(condition="context.to == 'ann'")
    answer = world.check("email.send", {})
    assert answer["allowed"] is False
    (line,) = Event.objects.get(id=read_id("evt", answer["audit"]["event_id"])).data["trace"]
    assert line[1] == "condition_error"
    assert "to" in line[2]


def test_a_log_belongs_to_decisions_not_to_other_logs(world: World) -> None:
    said = {"agent_id": "support-bot", "action": "email.send", "status": "success"}
    logged = world.post("/sdk/log", said).json()["id"]
    refused = world.post("/sdk/log", said | {"decision_id": logged.replace("log_", "dec_")})
    assert refused.status_code == 422


# Clocks and connections


def test_the_open_request_is_found_whatever_the_clocks_of_the_machines_said(world: World) -> None:
    asked = world.check("deploy.production", {"version": "1"})
    row = Approval.objects.get()
    row.id = uuid.UUID(int=new_id().int + (1 << 100))  # a machine whose clock is fast made it, long ago
    row.state, row.decided_at = "denied", "2026-01-01T00:00:00Z"
    row.save(force_insert=True)
    assert world.check("deploy.production", {"version": "1"})["approval_id"] == asked["approval_id"]


def end_the_servers_connections() -> None:
    with psycopg.connect(web_database_url()) as own:  # who owns the tables may not end who serves
        own.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'warden-gateway'")


def test_waiting_goes_on_when_the_servers_connections_have_died(world: World) -> None:
    asked = world.pending()
    path = f"/sdk/approvals/{asked['approval_id']}"
    assert world.get(path).status_code == 200
    end_the_servers_connections()
    assert world.get(path).status_code == 200


def test_a_connection_that_died_between_two_checks_costs_no_answer(world: World) -> None:
    assert world.check("email.send")["allowed"] is True
    asked = world.pending()
    end_the_servers_connections()
    assert world.check("email.send")["allowed"] is True
    assert world.pending()["approval_id"] != asked["approval_id"]
    assert Event.objects.filter(kind="agent:check:allow").count() == 2


def test_the_answer_to_a_stranger_says_nothing(world: World) -> None:
    for path in ("/sdk/check", "/sdk/approvals/apr_x", "//sdk/check", "/%73dk/check", "/sdk/../sdk/check", "/sdk"):
        for method in ("POST", "GET", "HEAD", "DELETE"):
            answer = world.client.request(method, path)
            assert answer.status_code in (401, 404, 405, 403, 302), (method, path, answer.status_code)
            assert "allowed" not in answer.text
            assert "Traceback" not in answer.text
    assert json.loads(world.client.post("/sdk/check").text) == {"detail": "Invalid API key"}
