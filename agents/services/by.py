"""Who changes something here: a member, a person who must be one, or the command line."""

from accounts.by import By, actor_of, check_by
from accounts.models import Membership, Organization, User
from accounts.rules import Refused
from audit.leaf import Actor

type Who = By | User

ABILITY = "agents:write"


def check(by: Who, organization: Organization) -> None:
    """Raises Refused unless `by` may change agents at this moment, whatever was so when the page was drawn."""
    if isinstance(by, User):
        member = Membership.objects.filter(organization=organization, user=by).first()
        if member is None:
            raise Refused("You do not belong to this organization any more.")
        by = member
    check_by(by, organization, ABILITY)


def actor(by: Who) -> Actor:
    """How the record names `by`."""
    return by.actor if isinstance(by, User) else actor_of(by)


def person(by: Who) -> User | None:
    """`by` as a foreign key keeps it: None for what is not a person."""
    if isinstance(by, Membership):
        return by.user
    return by if isinstance(by, User) else None
