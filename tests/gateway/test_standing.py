"""An approval is worth what its votes are worth when the agent takes it: they are counted again."""

from collections.abc import Callable

import pytest

from accounts.models import Membership, Organization
from agents.models import Agent
from approvals.models import Approval
from audit.clock import database_now
from audit.models import Event
from tests import factories
from tests.gateway.conftest import World

pytestmark = pytest.mark.django_db(transaction=True)


def _approver(world: World) -> Membership:
    return Membership.objects.get(user=world.approver, organization=world.acme)


def lose_the_role(world: World) -> None:
    Membership.objects.filter(user=world.approver).update(role="viewer")


def leave(world: World) -> None:
    _approver(world).delete()


def be_deactivated(world: World) -> None:
    type(world.approver).objects.filter(pk=world.approver.pk).update(is_active=False)


def become_the_owner(world: World) -> None:
    Agent.objects.filter(pk=world.bot.pk).update(owner_user=world.approver)


def join_the_team_that_owns_it(world: World) -> None:
    Agent.objects.filter(pk=world.bot.pk).update(
        owner_user=None, owner_team=factories.a_team(world.acme, world.approver)
    )


def have_changed_it(world: World) -> None:
    Approval.objects.update(editors=[world.approver.id])


def have_been_shown_another(world: World) -> None:
    for approval in Approval.objects.all():
        approval.reviews.update(digest="0" * 64)


CHANGES = [
    lose_the_role,
    leave,
    be_deactivated,
    become_the_owner,
    join_the_team_that_owns_it,
    have_changed_it,
    have_been_shown_another,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_an_approval_whose_votes_no_longer_suffice_cannot_be_claimed(
    world: World, change: Callable[[World], None]
) -> None:
    asked = world.pending()
    world.decide(asked["approval_id"])
    change(world)
    refused = world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="c")
    assert (refused.status_code, refused.json()["code"]) == (409, "policy_changed")
    event = Event.objects.get(kind="agent:approval:refuse")
    assert "may not decide it any more" in event.data["reason"]
    assert world.approval(asked["approval_id"]).claimed_at is None


def test_who_has_the_role_again_has_it_again(world: World) -> None:
    asked = world.pending()
    world.decide(asked["approval_id"])
    lose_the_role(world)
    path = f"/sdk/approvals/{asked['approval_id']}/claim"
    assert world.post(path, None, Idempotency_Key="a").status_code == 409
    Membership.objects.filter(user=world.approver).update(role="approver")
    assert world.post(path, None, Idempotency_Key="b").status_code == 200


def test_an_identical_check_opens_a_new_request_instead_of_an_approval_that_is_void(world: World) -> None:
    context = {"amount": 500, "order": "o-1"}
    asked = world.check("stripe.refund", context)
    world.decide(asked["approval_id"])
    lose_the_role(world)
    again = world.check("stripe.refund", context)
    assert (again["allowed"], again["status"]) == (False, "pending")
    assert again["approval_id"] != asked["approval_id"]
    assert world.approval(asked["approval_id"]).lapsed_at is not None
    assert Event.objects.filter(kind="system:approval:void", target=asked["approval_id"]).count() == 1
    world.decide(again["approval_id"], by=world.colleague)
    assert world.check("stripe.refund", context)["allowed"] is True


def test_ending_the_single_operator_s_exception_voids_what_it_approved(world: World) -> None:
    Organization.objects.update(single_operator_since=database_now())
    world.acme.refresh_from_db()
    Agent.objects.update(owner_user=world.approver)
    asked, other = world.pending(), world.pending()
    world.decide(asked["approval_id"])
    world.decide(other["approval_id"])
    assert world.post(f"/sdk/approvals/{asked['approval_id']}/claim", None, Idempotency_Key="a").status_code == 200
    Organization.objects.update(single_operator_since=None)
    refused = world.post(f"/sdk/approvals/{other['approval_id']}/claim", None, Idempotency_Key="b")
    assert (refused.status_code, refused.json()["code"]) == (409, "policy_changed")
