"""Whether a change of the policy takes two people, and whether two have agreed."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from accounts.models import Membership, Organization, User
from accounts.rules import Refused
from agents.services.by import Who

_agreed: ContextVar[bool] = ContextVar("policy_agreed", default=False)
WORDS = (
    "Here it takes two people to change the policy: propose it under Permissions → In Git. To suspend, to ban and to "
    "delete needs nobody else."
)


@contextmanager
def agreed() -> Iterator[None]:
    """What happens within was proposed by one person and accepted by another."""
    token = _agreed.set(True)
    try:
        yield
    finally:
        _agreed.reset(token)


def check_alone(organization: Organization, by: Who) -> None:
    """Raises Refused where one person alone would change what takes two. The command line is an operator's way in."""
    if organization.policy_by_two and isinstance(by, (Membership, User)) and not _agreed.get():
        raise Refused(WORDS)
