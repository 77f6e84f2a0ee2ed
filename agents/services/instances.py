"""AAP instances: made and changed by a provisioner's token, retired by it or by people. See docs/aap.md.

Whoever calls has verified the receiver, and hands secrets in sealed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction

from accounts.by import lock
from accounts.secrets import hash_secret, new_secret
from agents.models import ApiKey, Instance, Provisioner
from agents.models.key import PREFIXES
from agents.services.by import Who, actor, check
from agents.services.writing import public_id
from agents.signals import instance_retired, receiver_removed
from audit.clock import database_now
from audit.leaf import Actor
from audit.record import record

SCOPE = "aap"


class Receiver(NamedTuple):
    """Where an instance is told of decisions. `sealed` is the signing secret."""

    url: str
    registration_id: str
    sealed: str


class Gone(Exception):
    """The token was revoked or expired meanwhile, or its agent deleted."""


class Taken(Exception):
    """The idempotency key was used by somebody who was faster."""


@transaction.atomic
def provision(
    *,
    provisioner: Provisioner,
    key: ApiKey,
    secret: str,
    sealed: str,
    creation_key: str,
    creation_hash: bytes,
    receiver: Receiver | None,
) -> Instance:
    """Keeps a new instance and its credential (see `new_key`). Raises Gone, Taken."""
    _locked(provisioner)
    key.key_hash, key.last4 = hash_secret(secret), secret[-4:]
    key.full_clean()
    key.save(force_insert=True)
    instance = Instance(
        key=key,
        provisioner=provisioner,
        creation_key=creation_key,
        creation_hash=creation_hash,
        issued=sealed,
        **_columns(receiver),
    )
    if receiver:
        instance.delivery_since = database_now()
    try:
        with transaction.atomic():
            instance.save(force_insert=True)
    except IntegrityError as error:
        raise Taken from error
    _write("create", instance, by_provisioner(provisioner), {"after": shown(instance)})
    return instance


def new_key(provisioner: Provisioner, name: str) -> tuple[ApiKey, str]:
    """The credential of an instance that is about to be made, and its secret; saved is nothing yet."""
    secret = new_secret(PREFIXES[provisioner.mode])
    key = ApiKey(
        organization=provisioner.organization,
        agent=provisioner.agent,
        mode=provisioner.mode,
        environment=provisioner.environment,
        scopes=[SCOPE],
        created_by=provisioner.created_by,
    )
    key.name = name or f"{provisioner.agent.slug}-{key.id.hex[-8:]}"[:80]
    return key, secret


@transaction.atomic
def change(
    *,
    instance: Instance,
    provisioner: Provisioner,
    name: str | None = None,
    receiver: Receiver | None = None,
    remove: bool = False,
    then: Callable[[Instance], None],
) -> Instance:
    """Another name, another receiver, or (`remove`) none any more; `then`, in the same transaction.

    Raises Gone; Instance.DoesNotExist: retired.
    """
    _locked(provisioner)
    row = _row(instance)
    before = shown(row)
    if name is not None:
        row.key.name = name
        row.key.full_clean()
        row.key.save(update_fields=["name"])
    if receiver or remove:
        for column, value in _columns(receiver).items():
            setattr(row, column, value)
        row.delivery_since = None if remove else row.delivery_since or database_now()
        row.save(update_fields=[*_columns(None), "delivery_since"])
    if remove:
        receiver_removed.send(sender=Instance, instance=row)
    after = shown(row)
    if before != after:
        _write("change", row, by_provisioner(provisioner), {"before": before, "after": after})
    then(row)
    return row


@transaction.atomic
def retire(*, instance: Instance, by: Who | Provisioner) -> Instance:
    """Ends its credential, what it waits for and what it is owed, for ever. A retired one stays as it is.

    Raises Refused.
    """
    organization = lock(instance.key.organization)
    if isinstance(by, Provisioner):
        who = by_provisioner(by)
    else:
        check(by, organization)
        who = actor(by)
    row = Instance.objects.select_for_update(of=("self",)).select_related("key__agent", "key__organization")
    found = row.get(pk=instance.pk)
    if found.retired_at:
        return found
    found.retired_at = database_now()
    for column, value in _columns(None).items():
        setattr(found, column, value)
    found.delivery_since = None
    found.save(update_fields=[*_columns(None), "delivery_since", "retired_at"])
    if found.key.revoked_at is None:
        ApiKey.objects.filter(pk=found.key.pk, revoked_at=None).update(revoked_at=found.retired_at)
    _write("retire", found, who, {})
    receiver_removed.send(sender=Instance, instance=found)
    instance_retired.send(sender=Instance, instance=found, by=who)
    return found


def by_provisioner(provisioner: Provisioner) -> Actor:
    """How the record names who came with its token: its agent's side."""
    return Actor("agent", str(provisioner.id), provisioner.agent.slug)


def shown(instance: Instance) -> dict[str, Any]:
    """What the record keeps of it: no secret."""
    return {
        "name": instance.key.name,
        "delivery_url": instance.delivery_url,
        "registration_id": instance.registration_id,
    }


def as_json(instance: Instance) -> dict[str, Any]:
    """An instance for scripts; its id is what AAP calls it."""
    key, ended = instance.key, instance.retired_at
    return {
        "id": str(instance.pk),
        "mode": key.mode,
        "environment": key.environment,
        **shown(instance),
        "created_at": key.created_at.isoformat(),
        "last_used_at": key.last_used_at.isoformat() if key.last_used_at else None,
        "retired_at": ended.isoformat() if ended else None,
    }


def _columns(receiver: Receiver | None) -> dict[str, str]:
    url, registration_id, sealed = receiver or ("", "", "")
    return {"delivery_url": url, "registration_id": registration_id, "delivery_secret": sealed}


def _locked(provisioner: Provisioner) -> None:
    """Raises Gone unless the token opens something at this moment."""
    row = Provisioner.objects.select_for_update(no_key=True, of=("self",)).filter(
        pk=provisioner.pk, revoked_at=None, agent__deleted_at=None
    )
    found = row.exclude(expires_at__lte=database_now()).first()
    if found is None:
        raise Gone


def _row(instance: Instance) -> Instance:
    rows = Instance.objects.select_for_update(of=("self",)).select_related("key__agent", "key__organization")
    return rows.get(pk=instance.pk, retired_at=None)


def _write(verb: str, row: Instance, by: Actor, data: dict[str, Any]) -> None:
    key = row.key
    record(
        kind=f"{by.type}:instance:{verb}",
        organization_id=key.organization_id,
        mode=key.mode,  # type: ignore[arg-type]
        actor=by,
        agent=key.agent.slug if key.agent else "",
        target=public_id(row),
        data={"named": key.name, **data},
    )
