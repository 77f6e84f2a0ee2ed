"""What was allowed outside its rule, as the agent meets it: taken once, marked, and checked once more."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from accounts.by import COMMAND_LINE
from accounts.models import Membership
from accounts.services import break_glass as capability
from agents.models import Agent
from agents.services.permissions import change_permission
from approvals.glass import services as glass
from approvals.models import Approval, BreakGlass
from approvals.stops import services as stops
from audit.models import Event
from tests.gateway.conftest import World

pytestmark = pytest.mark.django_db(transaction=True)


def _approver(world: World) -> Membership:
    return Membership.objects.select_related("user", "organization").get(user=world.approver)


def break_for(world: World, approval_id: str) -> Approval:
    capability.allow(member=_approver(world), by=COMMAND_LINE)
    approval = world.approval(approval_id)
    return glass.break_glass(
        approval_id=approval.id,
        by=world.approver,
        organization=world.acme,
        digest=approval.digest,
        reason="The customer waits.",
        typed=approval.action,
        assurance="stepup",
    )


def claim(world: World, approval_id: str) -> Any:
    return world.post(f"/sdk/approvals/{approval_id}/claim", {}, idempotency_key=uuid.uuid4().hex)


def test_the_agent_takes_it_once_and_is_told_how_it_was_allowed(world: World) -> None:
    asked = world.pending()
    break_for(world, asked["approval_id"])
    shown = world.get(f"/sdk/approvals/{asked['approval_id']}").json()
    assert (shown["status"], shown["decision"]["code"]) == ("approved", "break_glass")
    assert claim(world, asked["approval_id"]).status_code == 200
    assert claim(world, asked["approval_id"]).json()["code"] == "already_claimed"
    told = Event.objects.get(kind="agent:approval:claim").data["receipt"]
    assert told["outside_rule"] == "break_glass"
    (by,) = told["approvers"]
    assert (by["email"], by["assurance"], by["outside_rule"]) == (world.approver.email, "stepup", "break_glass")


def test_what_was_denied_is_taken_by_the_same_check_again(world: World) -> None:
    context = {"amount": 500, "order": "one"}
    asked = world.check("stripe.refund", context)
    world.decide(asked["approval_id"], "deny", by=world.colleague, reason="No.")
    assert world.check("stripe.refund", context)["status"] == "denied"
    break_for(world, asked["approval_id"])
    again = world.check("stripe.refund", context)
    assert (again["allowed"], again["status"]) == (True, "allowed")
    assert again["reason"] == f"Approved by {world.approver.email} outside its rule: The customer waits."
    assert again["approval_id"] != asked["approval_id"]
    assert world.approval(asked["approval_id"]).state == "denied"
    assert world.check("stripe.refund", context)["allowed"] is False  # once


def lose_the_capability(world: World) -> None:
    capability.withdraw(member=_approver(world), by=COMMAND_LINE)


def lose_the_role(world: World) -> None:
    Membership.objects.filter(user=world.approver).update(role="viewer")


def be_deactivated(world: World) -> None:
    type(world.approver).objects.filter(pk=world.approver.pk).update(is_active=False)


def become_the_owner(world: World) -> None:
    Agent.objects.filter(pk=world.bot.pk).update(owner_user=world.approver)


def have_been_shown_another(world: World) -> None:
    BreakGlass.objects.update(digest="0" * 64)


def be_found_unjustified(world: World) -> None:
    owner = Membership.objects.select_related("user", "organization").get(user=world.owner)
    row = BreakGlass.objects.select_related("organization").get()
    glass.sign(broken=row, by=owner, justified=False, note="It could wait.")


def be_denied_by_the_policy(world: World) -> None:
    change_permission(
        permission=world.bot.permissions.get(action="stripe.refund.large"), by=COMMAND_LINE, effect="deny"
    )


def be_stopped(world: World) -> None:
    stops.stop(organization=world.acme, by=COMMAND_LINE, reason="odd")


CHANGES = [
    lose_the_capability,
    lose_the_role,
    be_deactivated,
    become_the_owner,
    have_been_shown_another,
    be_found_unjustified,
    be_denied_by_the_policy,
    be_stopped,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_it_is_checked_once_more_at_the_claim(world: World, change: Callable[[World], None]) -> None:
    asked = world.pending()
    break_for(world, asked["approval_id"])
    change(world)
    answer = claim(world, asked["approval_id"])
    assert (answer.status_code, answer.json()["code"] in ("policy_changed", "paused")) == (409, True)
    assert world.approval(asked["approval_id"]).claimed_at is None


def test_the_votes_of_others_do_not_stand_in_for_it(world: World) -> None:
    """A vote that was not enough stays one: with the glass whole again, nothing is left that allows it."""
    asked = world.pending()
    Approval.objects.update(rule=world.approval(asked["approval_id"]).rule | {"approvals": 2})
    world.decide(asked["approval_id"], by=world.colleague)
    break_for(world, asked["approval_id"])
    lose_the_capability(world)
    assert claim(world, asked["approval_id"]).json()["code"] == "policy_changed"
