"""POST /sdk/log: what came of it."""

import pytest

from agents.models import Agent
from approvals.models import Approval
from audit.models import Event
from tests.gateway.conftest import World, make_key, tiers

pytestmark = pytest.mark.django_db(transaction=True)


def log(world: World, key: str | None = None, **more: object) -> object:
    body = {"agent_id": "support-bot", "action": "stripe.refund", "status": "success", "context": {"amount": 20}}
    return world.post("/sdk/log", body | more, key)


def test_a_log_is_an_event_and_answers_as_the_contract_says(world: World) -> None:
    answer = log(world).json()
    event = Event.objects.get()
    assert answer["id"].startswith("log_")
    assert answer == {
        "id": answer["id"],
        "agent_id": "support-bot",
        "organization_id": str(world.acme.id),
        "action": "stripe.refund",
        "status": "success",
        "context": {"amount": 20},
        "created_at": answer["created_at"],
    }
    assert (event.kind, event.result) == ("agent:action:log", "success")


def test_a_log_belongs_to_the_decision_it_names(world: World) -> None:
    decided = world.check("stripe.refund", {"amount": 20})
    assert log(world, decision_id=decided["decision_id"]).status_code == 200
    assert Event.objects.filter(target=decided["decision_id"], kind="agent:action:log").count() == 1


def test_a_log_of_a_claimed_approval_is_its_outcome_and_the_first_word_stands(world: World) -> None:
    asked = world.pending()
    world.decide(asked["approval_id"])
    world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c")
    log(world, approval_id=asked["approval_id"], status="failed")
    log(world, approval_id=asked["approval_id"], status="success")
    assert Approval.objects.get().outcome == "failed"
    assert Event.objects.filter(target=asked["approval_id"], kind="agent:action:log").count() == 2


def test_a_log_cannot_name_what_is_not_its_agents(world: World) -> None:
    other = Agent.objects.create(organization=world.acme, slug="other-bot", name="Other")
    tiers(other)
    key = make_key(world.acme, agent=other)
    asked, decided = world.pending(), world.check("email.send")
    for reference in ({"approval_id": asked["approval_id"]}, {"decision_id": decided["decision_id"]}):
        response = log(world, key, agent_id="other-bot", **reference)
        assert response.status_code == 422
        assert next(iter(reference)) in response.json()["detail"]


def test_an_unknown_status_is_refused(world: World) -> None:
    response = log(world, status="done")
    assert response.status_code == 422
    assert "status" in response.json()["detail"]
