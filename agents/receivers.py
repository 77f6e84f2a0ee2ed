"""What agents add where an organization is made or changed."""

from typing import Any

from accounts.models import Organization
from agents.services.rules import DEFAULT_NAME, create_rule
from agents.services.versions import keep_version
from audit.leaf import SYSTEM

DECIDES = {"environments"}  # what of an organization is part of its policy


def begin(*, organization: Organization, **_: Any) -> None:
    """A new organization gets its default rule and its first policy version, in the transaction that makes it."""
    create_rule(organization=organization, by=SYSTEM, name=DEFAULT_NAME)
    keep_version(organization_id=organization.pk, by=None, summary="The organization began")


def follow(*, instance: Organization, created: bool, update_fields: frozenset[str] | None, **_: Any) -> None:
    """A change of environments is policy too: it makes a version, whoever made it."""
    if created or (update_fields is not None and not DECIDES & update_fields):
        return
    summary = f"Environments: {', '.join(instance.environments)}"
    keep_version(organization_id=instance.pk, by=None, summary=summary)
