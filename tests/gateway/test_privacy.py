"""What is asked is judged as it is and kept covered: nowhere in the database is the value, and all that held holds."""

import json
from typing import Any

import pytest
from django.db import connection

from accounts.by import COMMAND_LINE
from agents.models import Permission
from agents.services import privacy
from agents.services.permissions import change_permission
from approvals.models import Approval
from audit.ids import read_id
from audit.models import Event
from audit.subjects import SubjectKey
from tests.gateway.conftest import World

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "ann@secret.example"
CONTEXT = {"amount": 500, "customer": {"id": "cus_1", "email": SECRET}, "card": "4242-4242"}


def cover(world: World, path: str = "customer.email", treatment: str = "encrypt", subject: str = "customer.id") -> None:
    privacy.add_rule(
        organization=world.acme, by=COMMAND_LINE, action="*", path=path, treatment=treatment, subject=subject
    )


def everything_stored() -> str:
    """The whole database, as text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema::regnamespace AND relkind IN ('r', 'p')"
        )
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            found += [f"{table}: {row}" for (row,) in cursor.fetchall()]
    return "\n".join(found)


def erase(world: World, subject: str = "cus_1") -> None:
    privacy.erase_subject(organization=world.acme, by=COMMAND_LINE, subject=subject, reason="Case 7.", typed=subject)


def ask(world: World, **more: Any) -> dict[str, Any]:
    return world.check("stripe.refund", CONTEXT | more)


def test_no_table_holds_what_is_covered_whatever_the_agent_does_with_it(world: World) -> None:
    cover(world)
    cover(world, "card", "redact", "")
    asked = ask(world)
    assert asked["status"] == "pending"
    world.decide(asked["approval_id"])
    world.get(f"/sdk/approvals/{asked['approval_id']}")
    world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="claim-1")
    world.check("stripe.refund", CONTEXT | {"amount": 5}, idempotency_key="small-1")
    world.check("no.such", CONTEXT)
    log = {"agent_id": "support-bot", "action": "stripe.refund", "status": "failed", "context": CONTEXT}
    for key in ("log-1", "log-1"):
        assert (
            world.post("/sdk/log", log | {"approval_id": asked["approval_id"]}, Idempotency_Key=key).status_code == 200
        )
    stored = everything_stored()
    assert SECRET not in stored
    assert "4242-4242" not in stored
    assert "$warden" in stored


def test_an_identical_check_is_the_same_request_and_another_value_is_not(world: World) -> None:
    cover(world)
    cover(world, "card", "redact", "")
    asked = ask(world)
    assert ask(world)["approval_id"] == asked["approval_id"]
    assert ask(world, card="5555")["approval_id"] != asked["approval_id"]
    other = {"customer": {"id": "cus_1", "email": "eve@secret.example"}}
    assert ask(world, **other)["approval_id"] != asked["approval_id"]
    world.decide(asked["approval_id"])
    taken = ask(world)
    assert taken["allowed"]
    assert "effective_context" not in taken, "exactly what was asked"


def test_the_policy_judges_what_was_asked_and_again_what_is_decrypted(world: World) -> None:
    cover(world)
    tier = Permission.objects.get(action="stripe.refund.large")
    change_permission(permission=tier, by=COMMAND_LINE, condition='context.customer.email.endsWith("@secret.example")')
    asked = ask(world)
    assert asked["status"] == "pending"
    refused = ask(world, customer={"id": "cus_1", "email": "eve@elsewhere.example"})
    assert refused["status"] == "denied"
    world.decide(asked["approval_id"])
    claimed = world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c")
    assert claimed.status_code == 200, claimed.text


def test_what_goes_wrong_in_a_condition_names_no_covered_value(world: World) -> None:
    cover(world)
    tier = Permission.objects.get(action="stripe.refund.large")
    change_permission(permission=tier, by=COMMAND_LINE, condition="int(context.customer.email) > 5")
    refused = ask(world)
    assert refused["status"] == "denied"
    assert "could not be evaluated" in refused["reason"]
    assert SECRET not in refused["reason"] + everything_stored()


def test_after_its_subject_is_erased_an_approval_cannot_be_claimed_by_another_policy(world: World) -> None:
    cover(world)
    asked, later = ask(world), ask(world, amount=600)
    for each in (asked, later):
        world.decide(each["approval_id"])
    erase(world)
    claimed = world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c")
    assert claimed.status_code == 200, "nothing it was judged by has changed"
    tier = Permission.objects.get(action="stripe.refund.large")
    change_permission(permission=tier, by=COMMAND_LINE, condition='context.customer.email != "eve@x"')
    refused = world.post(f"/sdk/approvals/{later['approval_id']}/claim", None, Idempotency_Key="d")
    assert (refused.status_code, refused.json()["code"]) == (409, "policy_changed")


def test_a_subject_that_comes_back_gets_another_key(world: World) -> None:
    cover(world)
    asked = ask(world)
    before = SubjectKey.objects.get()
    erase(world)
    assert not SubjectKey.objects.exists()
    again = ask(world)
    assert again["approval_id"] != asked["approval_id"]
    assert SubjectKey.objects.get().id != before.id


def test_nobody_sends_the_mark_of_what_is_covered(world: World) -> None:
    forged = {
        "agent_id": "support-bot",
        "action": "stripe.refund",
        "context": {"a": {"$warden": ["encrypted", "x", ""]}},
    }
    assert world.post("/sdk/check", forged).status_code == 422
    assert world.post("/sdk/log", forged | {"status": "success"}).status_code == 422


def test_the_agent_is_given_back_marks_and_never_a_value(world: World) -> None:
    cover(world)
    asked = ask(world)
    world.decide(asked["approval_id"])
    shown = world.get(f"/sdk/approvals/{asked['approval_id']}").json()
    assert shown["context"]["customer"]["email"]["$warden"][0] == "encrypted"
    assert "effective_context" not in shown


def test_organizations_share_no_key_and_a_rule_names_its_actions(world: World) -> None:
    privacy.add_rule(
        organization=world.acme, by=COMMAND_LINE, action="stripe.*", path="customer.email", treatment="encrypt",
        subject="customer.id",
    )  # fmt: skip
    world.check("email.send", {"customer": {"id": "cus_1", "email": SECRET}})
    event = Event.objects.filter(action="email.send").latest("at")
    assert event.data["context"]["customer"]["email"] == SECRET
    asked = ask(world)
    approval = Approval.objects.get(id=read_id("apr", asked["approval_id"]))
    assert SECRET not in approval.context
    assert json.loads(approval.context)["amount"] == 500
