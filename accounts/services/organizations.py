"""Organizations: make, change."""

import itertools
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from accounts import roles
from accounts.by import By, actor_of, check_by, lock, tell
from accounts.models import Membership, Organization, User
from accounts.names import clean_name
from accounts.rules import Refused
from accounts.signals import organization_created
from audit.clock import database_now
from audit.ids import show_id

CHANGEABLE = (
    "name",
    "environments",
    "cooldown_seconds",
    "claim_seconds",
    "authz_paths",
    "policy_by_two",
    "deny_when_late",
    "retention_months",
    "legal_hold",
)
OWNERS = ("policy_by_two", "retention_months", "legal_hold")  # only they change these


def _slug(name: str, number: int) -> str:
    base = slugify(name).replace("_", "-").strip("-")[:56].strip("-") or "organization"
    return base if number == 1 else f"{base}-{number}"


def create(*, name: str, by: By, owner: User | None = None, slug: str = "") -> Organization:
    """A new organization with the default environments, and with `owner`, if any, as its owner.

    Owners of one may make another. Without a `slug` one is made from the name. Raises Refused, also where the slug is
    taken, ValidationError where it or the name is malformed.
    """
    if isinstance(by, Membership):
        check_by(by, by.organization, "owners:write")
    with transaction.atomic():
        organization = _insert(clean_name(name, 120), slug)
        if owner:
            Membership.objects.create(organization=organization, user=owner, role=roles.OWNER)
        target = show_id("org", organization.id)
        tell("organization:create", organization=organization, by=by, target=target, name=organization.name)
        organization_created.send(sender=Organization, organization=organization, by=actor_of(by))
    return organization


def _insert(name: str, slug: str) -> Organization:
    for number in itertools.count(1):
        organization = Organization(name=name, slug=slug or _slug(name, number))
        organization.clean_fields(exclude=["id", "created_at"])
        try:
            with transaction.atomic():
                organization.save(force_insert=True)
        except IntegrityError as error:
            if slug:
                raise Refused(f"There is an organization “{slug}” already.") from error
        else:
            return organization
    raise AssertionError("counted to infinity")


def change(*, organization: Organization, by: By, **changes: Any) -> Organization:
    """Changes the fields named in CHANGEABLE: `environments` a list of labels, the others as the model says (seconds).

    Records before and after. Raises Refused, or ValidationError where a value is out of bounds.
    """
    if unknown := set(changes) - set(CHANGEABLE):
        raise TypeError(f"not changeable: {unknown}")
    with transaction.atomic():
        organization = lock(organization)
        check_by(by, organization, "settings:write")
        before = {name: getattr(organization, name) for name in changes}
        if any(name in changes and changes[name] != before[name] for name in OWNERS):
            check_by(by, organization, "owners:write")
        for name, value in changes.items():
            setattr(organization, name, clean_name(value, 120) if name == "name" else value)
        if not organization.environments or len(set(organization.environments)) != len(organization.environments):
            raise ValidationError({"environments": "Name at least one environment, each once."})
        organization.clean_fields(exclude=["id", "slug", "created_at"])
        changed = [name for name in changes if before[name] != getattr(organization, name)]
        if changed:
            organization.save(update_fields=changed)
            tell(
                "organization:change",
                organization=organization,
                by=by,
                target=show_id("org", organization.id),
                changes={name: {"from": before[name], "to": getattr(organization, name)} for name in changed},
            )
    return organization


def begin_single_operator(*, organization: Organization, by: By, typed: str) -> Organization:
    """Gives up that two people are needed: from now on people may approve what their own agents ask.

    `typed` is the organization's slug, to be sure. Raises Refused: only owners do this.
    """
    with transaction.atomic():
        organization = lock(organization)
        check_by(by, organization, "owners:write")
        if typed.strip() != organization.slug:
            raise Refused(f"Type {organization.slug} to give up that two people are needed.")
        if organization.single_operator_since:
            return organization
        organization.single_operator_since = database_now()
        organization.single_operator_by = actor_of(by).label
        organization.save(update_fields=["single_operator_since", "single_operator_by"])
        tell("organization:single", organization=organization, by=by, target=show_id("org", organization.id))
    return organization


def end_single_operator(*, organization: Organization, by: By) -> Organization:
    """Makes two people needed again, for what waits and what was approved and not claimed too. Raises Refused."""
    with transaction.atomic():
        organization = lock(organization)
        check_by(by, organization, "settings:write")
        if organization.single_operator_since:
            organization.single_operator_since, organization.single_operator_by = None, ""
            organization.save(update_fields=["single_operator_since", "single_operator_by"])
            tell("organization:several", organization=organization, by=by, target=show_id("org", organization.id))
    return organization
