"""Who asks a service for something, whether they may, and what the record says about it."""

from typing import Any

from accounts import roles
from accounts.models import Membership, Organization
from accounts.rules import Refused, check_ability
from audit.leaf import Actor
from audit.record import record

type By = Membership | Actor  # a member, or the system: a command, the set-up

COMMAND_LINE = Actor("system", "", "command line")


def actor_of(by: By) -> Actor:
    """How the record names `by`."""
    return by.user.actor if isinstance(by, Membership) else by


def role_of(by: By, organization: Organization) -> str:
    """The role that `by` has in `organization` at this moment; the system has an owner's.

    Raises Refused for who is no member (any more). Agents are none.
    """
    if not isinstance(by, Membership):
        if by.type != "system":
            raise Refused("Only members can do this.")
        return roles.OWNER
    role = (
        Membership.objects.filter(pk=by.pk, organization=organization, user__is_active=True)
        .values_list("role", flat=True)
        .first()
    )
    if role is None:
        raise Refused("You do not belong to this organization any more.")
    return role


def check_by(by: By, organization: Organization, ability: str) -> str:
    """The role of `by`. Raises Refused where it lacks `ability` now, whatever it had when the page was drawn."""
    role = role_of(by, organization)
    check_ability(role, ability)
    return role


def lock(organization: Organization) -> Organization:
    """A fresh row that nobody else changes until this transaction ends.

    Changes to members are serialized by it, so that "the last owner" means the last. It does not block those who only
    refer to the organization (agents' checks).
    """
    return Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)


def tell(what: str, *, organization: Organization, by: By, target: str = "", **data: Any) -> None:
    """Records `person:what` or `system:what` in the organization. Must run in a transaction."""
    actor = actor_of(by)
    record(kind=f"{actor.type}:{what}", organization_id=organization.id, actor=actor, target=target, data=data)
