"""Agents' credentials: create, roll with an overlap, revoke. A secret is returned once and kept nowhere."""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from accounts.by import lock
from accounts.models import Organization
from accounts.rules import Refused
from accounts.secrets import hash_secret, new_secret
from agents.models import Agent, ApiKey
from agents.models.key import PREFIXES, default_scopes
from agents.services.by import Who, check, person
from agents.services.errors import Conflict
from agents.services.facts import facts
from agents.services.writing import public_id, write_event
from audit.clock import database_now

MAX_OVERLAP_HOURS = 168


class Created(NamedTuple):
    """A key and its secret, which nobody can read again."""

    key: ApiKey
    secret: str


@transaction.atomic
def create_key(
    *,
    organization: Organization,
    by: Who,
    mode: str,
    name: str,
    agent: Agent | None = None,
    environment: str = "",
    scopes: list[str] | None = None,
    rate_limit: int | None = None,
    expires_at: datetime | None = None,
) -> Created:
    """A key of one agent, or of every agent of the organization where `agent` is None.

    `rate_limit` is in requests a minute. Raises Refused, ValidationError, Conflict where the agent is gone.
    """
    organization = lock(organization)
    check(by, organization)
    if mode not in PREFIXES:
        raise ValidationError({"mode": f"Use one of: {', '.join(PREFIXES)}."})
    if expires_at and expires_at <= database_now():
        raise ValidationError({"expires_at": "This is past: the key would never work."})
    if agent and not Agent.objects.select_for_update(no_key=True).filter(pk=agent.pk, deleted_at=None).exists():
        raise Conflict("This agent was deleted by somebody else.")
    secret = new_secret(PREFIXES[mode])
    key = ApiKey(
        organization=organization,
        agent=agent,
        mode=mode,
        name=name,
        environment=environment,
        scopes=sorted(set(default_scopes() if scopes is None else scopes)),
        rate_limit=rate_limit,
        expires_at=expires_at,
        key_hash=hash_secret(secret),
        last4=secret[-4:],
        created_by=person(by),
    )
    key.full_clean()
    key.save(force_insert=True)
    _write("create", key, by, {"after": facts(key)})
    return Created(key, secret)


@transaction.atomic
def roll_key(*, key: ApiKey, by: Who, overlap_hours: int = 24) -> Created:
    """A new key like the old one, which goes on working for `overlap_hours` (0 to 168), then expires.

    A key with an expiry is followed by one of the same lifetime. Raises ValidationError, Conflict, Refused.
    """
    if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
        raise ValidationError({"overlap_hours": f"Use a whole number of hours from 0 to {MAX_OVERLAP_HOURS}."})
    old, now = _locked(key, by), database_now()
    if old.rolled_to_id:
        raise Refused("This key has been rolled already. Roll the newer one.")
    if old.revoked_at:
        raise Refused("This key is revoked. Create a new one.")
    if old.expires_at and old.expires_at <= now:
        raise Refused("This key has expired. Create a new one.")
    lifetime = old.expires_at - old.created_at if old.expires_at else None
    created = create_key(
        organization=old.organization,
        by=by,
        mode=old.mode,
        name=old.name,
        agent=old.agent,
        environment=old.environment,
        scopes=old.scopes,
        rate_limit=old.rate_limit,
        expires_at=now + lifetime if lifetime else None,
    )
    end = now + timedelta(hours=overlap_hours)
    before = facts(old)
    old.rolled_to = created.key
    old.expires_at = min(old.expires_at, end) if old.expires_at else end
    old.save(update_fields=["rolled_to", "expires_at"])
    _write(
        "roll",
        old,
        by,
        {
            "before": {"expires_at": before["expires_at"]},
            "after": {"expires_at": facts(old)["expires_at"], "rolled_to": public_id(created.key)},
        },
    )
    return created


@transaction.atomic
def revoke_key(*, key: ApiKey, by: Who) -> ApiKey:
    """Ends a key at once and for ever. A revoked one stays as it is. Raises Refused, Conflict."""
    row = _locked(key, by)
    if row.revoked_at is None:
        row.revoked_at = database_now()
        row.save(update_fields=["revoked_at"])
        _write("revoke", row, by, {"before": {"revoked_at": None}, "after": {"revoked_at": facts(row)["revoked_at"]}})
    return row


@transaction.atomic
def revoke_keys(*, agent: Agent, by: Who) -> int:
    """Ends every key of this agent alone, at once and for ever. Returns how many worked until now. Raises Refused."""
    organization = lock(agent.organization)
    check(by, organization)
    keys = ApiKey.objects.filter(organization=organization, agent=agent, revoked_at=None)
    return len([revoke_key(key=key, by=by) for key in keys.select_related("organization", "agent")])


def _locked(key: ApiKey, by: Who) -> ApiKey:
    check(by, lock(key.organization))
    row = (
        ApiKey.objects.select_for_update(of=("self",))
        .select_related("organization", "agent")
        .filter(Q(agent=None) | Q(agent__deleted_at=None), pk=key.pk)
        .first()
    )
    if row is None:
        raise Conflict("This key was deleted with its agent.")
    return row


def _write(verb: str, row: ApiKey, by: Who, data: dict[str, object]) -> None:
    write_event(
        verb=verb,
        row=row,
        by=by,
        organization_id=row.organization_id,
        agent=row.agent.slug if row.agent else "",
        data=data,
    )
