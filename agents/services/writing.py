"""What every verb of these services does: one event for one change, in the transaction of the change."""

import uuid
from typing import Any

from django.db.models import Model

from agents.models import (
    Agent,
    ApiKey,
    AppliedPolicy,
    ApprovalRule,
    BannedIdentity,
    ExternalOpa,
    Instance,
    Permission,
    PermissionReview,
    PolicyProposal,
    Provisioner,
    ShadowPolicy,
)
from agents.services.by import Who, actor
from agents.services.errors import Conflict
from agents.services.facts import token
from audit.ids import show_id
from audit.record import record

PREFIXES: dict[type[Model], tuple[str, str]] = {
    Agent: ("agent", "agt"),
    Permission: ("permission", "prm"),
    ApiKey: ("key", "key"),
    Provisioner: ("provisioner", "prv"),
    Instance: ("instance", "key"),
    ApprovalRule: ("rule", "rul"),
    AppliedPolicy: ("policy", "pol"),
    PolicyProposal: ("policy_proposal", "ppr"),
    ShadowPolicy: ("shadow", "org"),
    ExternalOpa: ("external_opa", "org"),
    BannedIdentity: ("identity", "bid"),
    PermissionReview: ("permission_review", "rvw"),
}


def public_id(row: Model) -> str:
    """`agt_01J…`, `prm_…`, `key_…`, `rul_…`, `bid_…`, `rvw_…`."""
    return show_id(PREFIXES[type(row)][1], row.pk)


def write_event(
    *,
    verb: str,
    row: Model,
    by: Who,
    organization_id: uuid.UUID,
    data: dict[str, Any],
    agent: str = "",
    action: str = "",
) -> None:
    """Records `person:permission:change` and the like."""
    who = actor(by)
    record(
        kind=f"{who.type}:{PREFIXES[type(row)][0]}:{verb}",
        organization_id=organization_id,
        actor=who,
        agent=agent,
        action=action,
        target=public_id(row),
        data=data,
    )


def check_unchanged(row: Model, expected: str | None) -> None:
    """Raises Conflict where `row`, read under a lock, is not what the caller saw. None: the caller does not mind."""
    if expected is not None and expected != token(row):
        raise Conflict("Somebody else changed this since you opened it. Nothing of yours was saved yet.")
