"""Policy versions: one immutable row for every change of what decides, and one writer at a time."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.db import transaction

from accounts.by import lock
from accounts.models import Organization
from agents import policy
from agents.load import load
from agents.models import Agent, PolicyVersion
from agents.policy.versions import limits
from agents.services.by import Who, check, person
from agents.services.two import check_alone
from audit.canonical import canonical


@dataclass
class Change:
    """What the version is to say of the change that is being made."""

    summary: str = ""
    agent: Agent | None = None


# The organization, as it was locked, and who changes it: while parts of the change are made.
_whole: ContextVar[tuple[Organization, Who] | None] = ContextVar("policy_change", default=None)


@contextmanager
def changing(*, organization: Organization, by: Who, alone: bool = False) -> Iterator[Change]:
    """One transaction for a change to an organization's agents; keeps a version where the policy is another after it.

    Changes of one organization wait for each other; agents' checks do not wait for them. Raises Refused where `by` may
    not change agents, or where it takes two and one comes `alone` with nothing that only takes away.
    """
    whole = _whole.get()
    part = whole is not None and whole[0].pk == organization.pk
    with transaction.atomic(savepoint=not part):
        change = Change()
        if whole and part and whole[1] is by:  # under the lock that is held, by whom it was allowed
            organization = whole[0]
        else:
            organization = lock(organization)
            check(by, organization)
        if not alone:
            check_alone(organization, by)
        if part:  # of a larger change, which makes one version of all its parts
            yield change
            return
        token = _whole.set((organization, by))
        try:
            yield change
        finally:
            _whole.reset(token)
        keep_version(organization_id=organization.pk, by=by, summary=change.summary, agent=change.agent)


def keep_version(
    *, organization_id: uuid.UUID, by: Who | None, summary: str, agent: Agent | None = None
) -> PolicyVersion | None:
    """Keeps the organization's policy as its next version; None where it is what the last version says.

    The caller holds the lock on the organization's row (see `changing`).
    """
    compiled = load(organization_id).policy
    last = PolicyVersion.objects.filter(organization_id=organization_id).only("number", "version").first()
    if last and last.version == compiled.version:
        return None
    return PolicyVersion.objects.create(
        organization_id=organization_id,
        number=last.number + 1 if last else 1,
        version=compiled.version,
        content=canonical(content_of(compiled)),
        summary=summary[:300],
        agent=agent,
        created_by=person(by) if by else None,
    )


def content_of(compiled: policy.Policy) -> dict[str, Any]:
    """The JSON whose canonical form has the policy's version as its hash (agents.policy.versions)."""
    agents = {agent.id: agent for agent in compiled.agents.values()}
    return {
        "organization": compiled.organization_id,
        "stops": [{"agent": stop.agent, "pattern": stop.pattern} for stop in compiled.stops],
        "environments": sorted(compiled.environments),
        "agents": [_agent(agents[id_]) for id_ in sorted(agents)],
        **({"banned": sorted(compiled.banned)} if compiled.banned else {}),
        **({"external_opa": dict(compiled.external)} if compiled.external else {}),
    }


def _agent(agent: policy.Agent) -> dict[str, Any]:
    return {
        "id": agent.id,
        "slug": agent.slug,
        "status": agent.status,
        "spiffe_id": agent.spiffe_id,
        "limits": limits(agent.limits),
        "permissions": [_permission(each) for each in sorted(agent.permissions, key=lambda each: each.id)],
    }


def _permission(permission: policy.Permission) -> dict[str, Any]:
    return {
        "id": permission.id,
        "action": permission.action,
        "effect": permission.effect,
        "max_amount": None if permission.max_amount is None else policy.plain(permission.max_amount),
        "currency": permission.currency,
        "environment": permission.environment,
        "condition": permission.condition,
        "callee": permission.callee,
        "risk": permission.risk,
        "approval_rule": permission.approval_rule,
        "expires_at": None if permission.expires_at is None else permission.expires_at.astimezone(UTC).isoformat(),
        "limits": limits(permission.limits),
    }
