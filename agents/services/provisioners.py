"""Tokens that make an agent's AAP instances: create, revoke. A token is returned once and kept nowhere."""

from datetime import datetime
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.by import lock
from accounts.secrets import hash_secret, new_secret
from agents.models import Agent, Provisioner
from agents.models.instance import PREFIX
from agents.models.key import PREFIXES
from agents.services.by import Who, check, person
from agents.services.errors import Conflict
from agents.services.facts import facts
from agents.services.writing import write_event
from audit.clock import database_now


class Created(NamedTuple):
    """A provisioner and its token, which nobody can read again."""

    provisioner: Provisioner
    token: str


@transaction.atomic
def create_provisioner(
    *,
    agent: Agent,
    by: Who,
    mode: str = "live",
    environment: str = "",
    name: str = "",
    expires_at: datetime | None = None,
) -> Created:
    """A token for instances of this agent. Raises Refused, ValidationError, Conflict where the agent is gone."""
    organization = lock(agent.organization)
    check(by, organization)
    if mode not in PREFIXES:
        raise ValidationError({"mode": f"Use one of: {', '.join(PREFIXES)}."})
    if environment and environment not in organization.environments:
        known = ", ".join(organization.environments)
        raise ValidationError({"environment": f"The organization has no such environment. It has: {known}."})
    if expires_at and expires_at <= database_now():
        raise ValidationError({"expires_at": "This is past: the token would never work."})
    if not Agent.objects.select_for_update(no_key=True).filter(pk=agent.pk, deleted_at=None).exists():
        raise Conflict("This agent was deleted by somebody else.")
    token = new_secret(PREFIX)
    row = Provisioner(
        organization=organization,
        agent=agent,
        mode=mode,
        environment=environment,
        name=name or f"{agent.slug} ({mode})"[:80],
        token_hash=hash_secret(token),
        last4=token[-4:],
        created_by=person(by),
        expires_at=expires_at,
    )
    row.full_clean()
    row.save(force_insert=True)
    _write("create", row, by, {"after": facts(row)})
    return Created(row, token)


@transaction.atomic
def revoke_provisioner(*, provisioner: Provisioner, by: Who) -> Provisioner:
    """Ends a token at once and for ever. The instances that it made stay. Raises Refused."""
    check(by, lock(provisioner.organization))
    row = Provisioner.objects.select_for_update(of=("self",)).select_related("agent").get(pk=provisioner.pk)
    if row.revoked_at is None:
        row.revoked_at = database_now()
        row.save(update_fields=["revoked_at"])
        _write("revoke", row, by, {"before": {"revoked_at": None}, "after": {"revoked_at": facts(row)["revoked_at"]}})
    return row


def _write(verb: str, row: Provisioner, by: Who, data: dict[str, object]) -> None:
    write_event(verb=verb, row=row, by=by, organization_id=row.organization_id, agent=row.agent.slug, data=data)
