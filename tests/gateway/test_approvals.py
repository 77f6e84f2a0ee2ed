"""What an agent may do with an approval: wait, claim once, give up."""

import threading
import time

import httpx
import pytest

from accounts.by import COMMAND_LINE
from agents.models import Agent, Permission
from agents.services.permissions import change_permission
from agents.services.rules import change_rule
from approvals.models import Approval
from audit.ids import read_id
from audit.models import Event
from tests import factories
from tests.gateway.conftest import World, make_key, tiers

pytestmark = pytest.mark.django_db(transaction=True)


def test_waiting_ends_when_a_person_decides(world: World) -> None:
    asked = world.pending()
    timer = threading.Timer(0.5, world.decide, [asked["approval_id"]])
    timer.start()
    began = time.monotonic()
    answer = world.get(f"/sdk/approvals/{asked['approval_id']}?wait=30s").json()
    timer.join()
    assert answer["status"] == "approved"
    assert answer["decision"]["decided_by"] == world.approver.email
    assert answer["context"] == answer["effective_context"]
    assert time.monotonic() - began < 10


def test_waiting_ends_at_the_deadline_as_expired(world: World) -> None:
    asked = world.pending(expires_in=1)
    answer = world.get(f"/sdk/approvals/{asked['approval_id']}?wait=30s").json()
    assert answer["status"] == "expired"


def test_a_request_waits_as_long_as_its_rule_says_or_as_the_agent_needs_it_but_no_longer(world: World) -> None:
    rule = factories.a_rule(world.acme, minutes=7)
    change_permission(
        permission=world.bot.permissions.get(action="stripe.refund.large"), by=COMMAND_LINE, approval_rule=rule
    )
    for asked, seconds in (({}, 420), ({"expires_in": 30}, 30), ({"expires_in": 3600}, 420)):
        row = world.approval(world.pending(**asked)["approval_id"])
        assert (row.expires_at - row.created_at).total_seconds() == seconds
    change_rule(rule=rule, by=COMMAND_LINE, minutes=9)
    row.refresh_from_db()
    assert (row.expires_at - row.created_at).total_seconds() == 420  # it keeps the version it was made under
    row = world.approval(world.pending()["approval_id"])
    assert (row.expires_at - row.created_at).total_seconds() == 540


def test_a_tier_that_names_no_rule_asks_by_the_default(world: World) -> None:
    factories.a_rule(world.acme, minutes=5)
    default = factories.a_rule(world.acme, minutes=11, is_default=True)
    row = world.approval(world.pending()["approval_id"])
    assert row.rule["name"] == default.name
    assert (row.expires_at - row.created_at).total_seconds() == 660


def test_waiting_ends_pending_when_the_wait_ends(world: World) -> None:
    asked = world.pending()
    assert world.get(f"/sdk/approvals/{asked['approval_id']}?wait=1s").json()["status"] == "pending"
    assert world.get(f"/sdk/approvals/{asked['approval_id']}?wait=soon").status_code == 422


def test_a_claim_takes_an_approval_once(world: World) -> None:
    asked = world.pending()
    path = f"/sdk/approvals/{asked['approval_id']}/claim"
    assert world.post(path, None).status_code == 422
    early = world.post(path, None, Idempotency_Key="c-1")
    assert (early.status_code, early.json()["code"]) == (409, "not_approved")
    world.decide(asked["approval_id"])
    first = world.post(path, None, Idempotency_Key="c-1")
    assert first.status_code == 200
    assert first.json()["claim"]["digest"] == first.json()["digest"]
    assert world.post(path, None, Idempotency_Key="c-1").json() == first.json()
    second = world.post(path, None, Idempotency_Key="c-2")
    assert (second.status_code, second.json()["code"]) == (409, "already_claimed")
    assert Event.objects.filter(kind="agent:approval:claim").count() == 1


def test_a_claim_of_what_was_denied_or_ran_out_is_refused(world: World) -> None:
    asked = world.pending()
    world.decide(asked["approval_id"], "deny")
    refused = world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c")
    assert refused.json()["code"] == "not_approved"
    late = world.pending()
    world.decide(late["approval_id"])
    Approval.objects.filter(id=read_id("apr", late["approval_id"])).update(
        decided_at="2026-01-01T00:00:00Z", claim_until="2026-01-01T00:00:10Z"
    )
    refused = world.post(f"/sdk/approvals/{late['approval_id']}/claim", None, Idempotency_Key="d")
    assert (refused.status_code, refused.json()["code"]) == (409, "approval_expired")


@pytest.mark.parametrize("change", ["gone", "replaced", "suspended", "lowered"])
def test_a_claim_is_judged_by_the_policy_of_now(world: World, change: str) -> None:
    asked = world.pending(500)
    world.decide(asked["approval_id"])
    large = Permission.objects.filter(action="stripe.refund.large")
    if change == "gone":
        large.delete()
    elif change == "replaced":
        large.delete()
        Permission.objects.create(agent=world.bot, action="stripe.refund.large", effect="ask", max_amount=1000)
    elif change == "suspended":
        Agent.objects.update(status="suspended")
    else:
        large.update(max_amount=400)
    refused = world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c")
    assert (refused.status_code, refused.json()["code"]) == (409, "policy_changed")


def test_a_context_that_was_tampered_with_is_not_what_was_approved(world: World) -> None:
    asked = world.pending(500)
    world.decide(asked["approval_id"])
    Approval.objects.filter(id=read_id("apr", asked["approval_id"])).update(context='{"amount":900}')
    refused = world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c")
    assert (refused.status_code, refused.json()["code"]) == (409, "policy_changed")


def test_giving_up_ends_it_and_wakes_who_waits(world: World) -> None:
    asked = world.pending()
    path = f"/sdk/approvals/{asked['approval_id']}"
    first = world.post(f"{path}/cancel", None)
    assert first.json()["status"] == "cancelled"
    assert world.post(f"{path}/cancel", None).json() == first.json()
    decided = world.pending()
    world.decide(decided["approval_id"])
    refused = world.post(f"/sdk/approvals/{decided['approval_id']}/cancel", None)
    assert (refused.status_code, refused.json()["code"]) == (409, "already_decided")


def test_another_agents_approval_is_not_there(world: World) -> None:
    other = Agent.objects.create(organization=world.acme, slug="other-bot", name="Other")
    tiers(other)
    key = make_key(world.acme, agent=other)
    asked = world.pending()
    path = f"/sdk/approvals/{asked['approval_id']}"
    assert world.get(path, key).status_code == 404
    assert world.post(f"{path}/claim", None, key, Idempotency_Key="x").status_code == 404
    assert world.post(f"{path}/cancel", None, key).status_code == 404
    assert world.get(f"{path}/events", key).status_code == 404
    assert world.get("/sdk/approvals/apr_nonsense").status_code == 404


def test_a_key_of_another_environment_cannot_claim(world: World) -> None:
    staging = make_key(world.acme, agent=world.bot, environment="staging")
    asked = world.pending()
    world.decide(asked["approval_id"])
    refused = world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, staging, Idempotency_Key="x")
    assert refused.status_code == 404


def test_events_tell_the_decision_and_end(world: World) -> None:
    asked = world.pending()
    path = f"{world.server.url}/sdk/approvals/{asked['approval_id']}/events"
    seen = []
    with httpx.stream("GET", path, headers={"X-API-Key": world.key}, timeout=20) as response:
        assert response.headers["content-type"] == "text/event-stream"
        for line in response.iter_lines():
            if line.startswith("event: "):
                seen.append(line.removeprefix("event: "))
                if len(seen) == 1:
                    world.decide(asked["approval_id"], "deny")
    assert seen == ["pending", "denied"]


def test_no_path_lets_a_key_decide(world: World) -> None:
    asked = world.pending()
    for verb in ["approve", "deny", "review", "decide"]:
        assert world.post(f"/sdk/approvals/{asked['approval_id']}/{verb}", {"reason": "me"}).status_code == 404
        assert world.post(f"/api/approvals/{asked['approval_id']}/{verb}", {"reason": "me"}).status_code in (401, 404)
    assert Approval.objects.get().state == "pending"
