"""What an agent gets of a request that a person changed: exactly what was approved, or nothing (I5)."""

import asyncio
import contextlib
import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from agentwarden._receipts import context_sha256
from django.db import connection

from agents.models import Permission
from approvals import edits, holding, rules
from approvals.models import Approval
from approvals.receipts import approvers
from audit.ids import read_id
from audit.models import Event
from gateway.app import conninfo
from tests import factories
from tests.gateway.conftest import World

pytestmark = pytest.mark.django_db(transaction=True)
ASKED = {"amount": 500, "customer_id": "cus_1"}
CHANGED = {"amount": 250, "customer_id": "cus_2"}


@pytest.fixture
def asked(world: World) -> dict[str, Any]:
    rule = factories.a_rule(world.acme, edits_allowed=True, edit_fields=["amount", "customer_id"])
    Permission.objects.filter(action="stripe.refund.large").update(approval_rule=rule)
    # 250 asks too, by the same rule
    Permission.objects.filter(action="stripe.refund.medium").update(effect="ask", max_amount=300, approval_rule=rule)
    return world.check("stripe.refund", ASKED)


def change(world: World, approval_id: str, **values: Any) -> Approval:
    approval = world.approval(approval_id)
    return edits.edit(
        approval_id=approval.id,
        by=world.approver,
        organization=world.acme,
        values=values or CHANGED,
        reason="Half of it, to the other one.",
        digest=approval.digest,
        via="browser",
    )


def approve(world: World, approval_id: str) -> None:
    world.decide(approval_id, by=world.colleague)


def test_while_it_waits_an_edited_request_is_one_request(world: World, asked: dict[str, Any]) -> None:
    edited = change(world, asked["approval_id"])
    for context in (ASKED, CHANGED):
        again = world.check("stripe.refund", context)
        assert (again["status"], again["approval_id"]) == ("pending", asked["approval_id"])
    assert Approval.objects.count() == 1
    shown = world.get(f"/sdk/approvals/{asked['approval_id']}").json()
    assert (shown["context"], shown["digest"]) == (ASKED, edited.digest)
    assert "effective_context" not in shown


def test_a_claim_hands_out_exactly_what_was_approved(world: World, asked: dict[str, Any]) -> None:
    edited = change(world, asked["approval_id"])
    approve(world, asked["approval_id"])
    path = f"/sdk/approvals/{asked['approval_id']}"
    shown = world.get(path).json()
    assert (shown["status"], shown["context"], shown["effective_context"]) == ("approved", ASKED, CHANGED)
    claimed = world.post(f"{path}/claim", None, Idempotency_Key="c").json()
    assert (claimed["effective_context"], claimed["claim"]["digest"]) == (CHANGED, edited.digest)
    said = Event.objects.get(kind="agent:approval:claim").data
    assert said["digest"] == said["receipt"]["digest"] == edited.digest
    assert said["receipt"]["context_sha256"] == context_sha256(CHANGED), "what was approved, not what was asked"


def test_a_void_vote_is_not_among_those_who_approved_what_is_claimed(world: World) -> None:
    third = factories.a_member(world.acme, "approver")
    fields = {"approvals": 2, "edits_allowed": True, "edit_fields": ["amount"]}
    rule = factories.a_rule(world.acme, **fields)
    Permission.objects.filter(action="stripe.refund.large").update(approval_rule=rule)
    asked = world.check("stripe.refund", ASKED)
    fourth = factories.a_member(world.acme, "approver")
    world.decide(asked["approval_id"], by=fourth)
    change(world, asked["approval_id"], amount=400)
    for person in (world.colleague, third):
        world.decide(asked["approval_id"], by=person)
    assert world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c").status_code == 200
    approval = world.approval(asked["approval_id"])
    named = asyncio.run(_approvers(approval.id))
    assert [each["email"] for each in named] == [world.colleague.email, third.email]


async def _approvers(approval_id: uuid.UUID) -> list[dict[str, str]]:
    async with await psycopg.AsyncConnection.connect(**conninfo()) as connection:
        held = await holding.fetch(connection, [approval_id])
        return (await approvers(connection, held.values()))[approval_id]


def test_an_old_client_that_repeats_its_check_is_not_told_to_go_ahead(world: World, asked: dict[str, Any]) -> None:
    change(world, asked["approval_id"])
    approve(world, asked["approval_id"])
    for _ in range(3):
        again = world.check("stripe.refund", ASKED)
        assert (again["allowed"], again["requires_approval"], again["status"]) == (False, False, "denied")
        assert (again["code"], again["approval_id"]) == ("edited", asked["approval_id"])
        assert asked["approval_id"] in again["reason"]
        assert again["effective_context"] == CHANGED
    assert Approval.objects.get().claimed_at is None
    assert not Event.objects.filter(kind__in=["agent:approval:claim", "agent:check:allow"]).exists()
    assert world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c").status_code == 200


def test_a_check_for_exactly_what_was_approved_is_allowed_once(world: World, asked: dict[str, Any]) -> None:
    change(world, asked["approval_id"])
    approve(world, asked["approval_id"])
    allowed = world.check("stripe.refund", CHANGED)
    assert (allowed["allowed"], allowed["approval_id"], allowed["effective_context"]) == (
        True,
        asked["approval_id"],
        CHANGED,
    )
    assert "code" not in allowed
    assert world.check("stripe.refund", CHANGED)["status"] == "pending"  # a new request
    assert world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c").status_code == 409


def test_changed_back_it_is_what_was_asked(world: World, asked: dict[str, Any]) -> None:
    third = factories.a_member(world.acme, "approver")
    change(world, asked["approval_id"], customer_id="cus_2")
    approval = world.approval(asked["approval_id"])
    edits.edit(
        approval_id=approval.id,
        by=world.colleague,
        organization=world.acme,
        values={"customer_id": "cus_1"},
        reason="No.",
        digest=approval.digest,
        via="browser",
    )
    world.decide(asked["approval_id"], by=third)
    assert world.check("stripe.refund", ASKED)["allowed"] is True


def test_what_was_denied_after_a_change_is_denied_for_both(world: World, asked: dict[str, Any]) -> None:
    change(world, asked["approval_id"])
    world.decide(asked["approval_id"], "deny", by=world.colleague)
    for context in (ASKED, CHANGED):
        assert world.check("stripe.refund", context)["approval_id"] == asked["approval_id"]
        assert world.check("stripe.refund", context)["status"] == "denied"


@pytest.mark.parametrize("tamper", ["context", "digest"])
def test_a_claim_of_what_was_tampered_with_after_a_change_is_refused(
    world: World, asked: dict[str, Any], tamper: str
) -> None:
    change(world, asked["approval_id"])
    approve(world, asked["approval_id"])
    row = Approval.objects.get(id=read_id("apr", asked["approval_id"]))
    values = {"context": row.asked_context} if tamper == "context" else {"digest": "0" * 64}
    Approval.objects.update(**values)
    refused = world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c")
    assert (refused.status_code, refused.json()["code"]) == (409, "policy_changed")


def test_the_policy_of_now_judges_what_was_approved_not_what_was_asked(world: World, asked: dict[str, Any]) -> None:
    change(world, asked["approval_id"])
    approve(world, asked["approval_id"])
    factories.a_permission(world.bot, "stripe.refund", "deny", condition='context.customer_id == "cus_2"')
    refused = world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c")
    assert (refused.status_code, refused.json()["code"]) == (409, "policy_changed")


def test_raced_votes_and_changes_never_approve_what_was_not_shown(world: World) -> None:
    """Each of these ends approved as it was asked, or as it was changed, with a vote for exactly that digest."""
    rule = factories.a_rule(world.acme, edits_allowed=True, edit_fields=["amount"])
    Permission.objects.filter(action="stripe.refund.large").update(approval_rule=rule)
    waiting = [world.pending(500 + number) for number in range(12)]

    def together(*acts: Callable[[], Any]) -> None:
        start = threading.Barrier(len(acts))

        def run(act: Callable[[], Any]) -> None:
            start.wait()
            try:
                with contextlib.suppress(rules.Refused):  # the other was faster
                    act()
            finally:
                connection.close()

        with ThreadPoolExecutor(len(acts)) as pool:
            list(pool.map(run, acts))

    for asked in waiting:
        together(
            lambda asked=asked: change(world, asked["approval_id"], amount=400),  # type: ignore[misc]
            lambda asked=asked: world.decide(asked["approval_id"], by=world.colleague),  # type: ignore[misc]
        )
    for asked in waiting:
        row = world.approval(asked["approval_id"])
        counted = row.reviews.filter(voided_at=None)
        assert [each.digest for each in counted] == ([row.digest] if row.state == "approved" else [])
        if row.is_edited:
            assert world.check("stripe.refund", json.loads(row.asked_context))["allowed"] is False
