"""Agents: create, change, suspend, ban, activate, delete, mark as audited."""

import re
import unicodedata
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.by import lock
from accounts.models import Organization
from accounts.rules import Refused
from agents.models import Agent
from agents.models.agent import RESERVED
from agents.models.banned import is_banned
from agents.services.by import Who, check, person
from agents.services.errors import Conflict
from agents.services.facts import difference, facts
from agents.services.keys import revoke_keys
from agents.services.versions import changing
from agents.services.writing import check_unchanged, write_event
from agents.signals import agent_banned
from audit.clock import database_now

EDITABLE = frozenset(
    {
        "name",
        "purpose",
        "owner_user",
        "owner_team",
        "notes",
        "documentation",
        "spiffe_id",
        "limits",
        "limit_currency",
        "max_pending",
    }
)
VERBS = {
    Agent.Status.ACTIVE: ("activate", "Activated"),
    Agent.Status.SUSPENDED: ("suspend", "Suspended"),
    Agent.Status.BANNED: ("ban", "Banned"),
}


def free_slug(organization: Organization, name: str) -> str:
    """A slug made of `name` that no agent of the organization has: `refund-bot`, or `refund-bot-2`."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    base = re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")[:56].strip("-") or "agent"
    taken = (
        set(
            Agent.objects.filter(organization=organization, deleted_at=None, slug__startswith=base).values_list(
                "slug", flat=True
            )
        )
        | RESERVED
    )
    slug, number = base, 2
    while slug in taken:
        slug, number = f"{base}-{number}", number + 1
    return slug


def create_agent(*, organization: Organization, by: Who, name: str, slug: str = "", **fields: Any) -> Agent:
    """A new, active agent without permissions: it may do nothing yet. `fields` are those of EDITABLE.

    Raises ValidationError.
    """
    _check_names(fields)
    with changing(organization=organization, by=by, alone=True) as change:
        agent = Agent(
            organization=organization,
            name=name,
            slug=slug or free_slug(organization, name),
            created_by=person(by),
            **fields,
        )
        _check_owner(organization, fields)
        _check_identity(agent)
        agent.full_clean()
        agent.save(force_insert=True)
        write_event(
            verb="create",
            row=agent,
            by=by,
            organization_id=organization.pk,
            agent=agent.slug,
            data={"after": facts(agent)},
        )
        change.summary, change.agent = f"Created {agent.slug}", agent
    return agent


def change_agent(*, agent: Agent, by: Who, expected: str | None = None, **fields: Any) -> Agent:
    """Changes fields of EDITABLE. The slug stays: keys, code and the record name it.

    Raises ValidationError; Conflict where the agent is not what `expected` (facts.token) says.
    """
    _check_names(fields)
    with changing(organization=agent.organization, by=by) as change:
        row = _locked(agent)
        change.summary, change.agent = f"Changed {row.slug}", row
        check_unchanged(row, expected)
        before = facts(row)
        for name, value in fields.items():
            setattr(row, name, value)
        _check_owner(row.organization, fields)
        if "spiffe_id" in fields and row.spiffe_id != before["spiffe_id"]:
            _check_identity(row)
        row.full_clean()
        changed = difference(before, facts(row))
        if changed:
            row.save(update_fields=list(fields))
            _write("change", row, by, changed)
    return row


def set_status(*, agent: Agent, by: Who, status: str, reason: str = "") -> Agent:
    """Active, suspended or banned; holds for every check from the commit on. Setting what it is changes nothing.

    A ban revokes its keys for good and cancels what it waits for, in the same transaction.
    Raises ValidationError for another word, Conflict where the agent is gone, Refused where its SPIFFE ID is banned
    and it is to be active.
    """
    if status not in Agent.Status.values:
        raise ValidationError({"status": f"Use one of: {', '.join(Agent.Status.values)}."})
    verb, past = VERBS[Agent.Status(status)]
    with changing(organization=agent.organization, by=by, alone=status != Agent.Status.ACTIVE) as change:
        row = _locked(agent)
        change.summary, change.agent = f"{past} {row.slug}", row
        if status == Agent.Status.ACTIVE and is_banned(row.organization, row.spiffe_id):
            raise Refused("Its SPIFFE ID is banned. Lift that ban first.")
        if row.status != status:
            before, row.status = row.status, status
            row.save(update_fields=["status"])
            data: dict[str, Any] = {"before": {"status": before}, "after": {"status": status}}
            _write(verb, row, by, data | ({"reason": reason} if reason else {}))
            if status == Agent.Status.BANNED:
                revoke_keys(agent=row, by=by)
                agent_banned.send(sender=Agent, agent=row, by=by, reason=reason)
    return row


def delete_agent(*, agent: Agent, by: Who, expected: str | None = None) -> None:
    """Deletes its permissions and keys; the row, its approvals and the record stay. Its slug is free again.

    Raises Conflict.
    """
    with changing(organization=agent.organization, by=by, alone=True) as change:
        row = _locked(agent)
        change.summary, change.agent = f"Deleted {row.slug}", row
        check_unchanged(row, expected)
        permissions = [facts(each) for each in row.permissions.all()]
        keys = [each.shown for each in row.api_keys.all()]
        row.permissions.all().delete()
        row.api_keys.all().delete()
        row.deleted_at = database_now()
        row.save(update_fields=["deleted_at"])
        _write("delete", row, by, {"before": facts(row) | {"permissions": permissions, "keys": keys}})


@transaction.atomic
def mark_audited(*, agent: Agent, by: Who) -> Agent:
    """Says that `by` has looked at everything the agent may do, now. Raises Conflict, Refused for what is no person."""
    if person(by) is None:
        raise Refused("Only a person can have reviewed an agent.")
    check(by, lock(agent.organization))
    row = _locked(agent)
    before = facts(row)
    row.last_audited_at, row.last_audited_by = database_now(), person(by)
    row.save(update_fields=["last_audited_at", "last_audited_by"])
    _write("audit", row, by, difference(before, facts(row)))
    return row


def _locked(agent: Agent) -> Agent:
    row = Agent.objects.select_for_update(no_key=True).filter(pk=agent.pk, deleted_at=None).first()
    if row is None:
        raise Conflict("This agent was deleted by somebody else.")
    return row


def _write(verb: str, row: Agent, by: Who, data: dict[str, Any]) -> None:
    write_event(verb=verb, row=row, by=by, organization_id=row.organization_id, agent=row.slug, data=data)


def _check_owner(organization: Organization, fields: dict[str, Any]) -> None:
    # Only where an owner is named: one who left since must not stand in the way of other changes.
    owner = fields.get("owner_user")
    if owner and not organization.memberships.filter(user=owner).exists():
        raise ValidationError({"owner_user": "The owner must be a member of the organization."})


def _check_identity(agent: Agent) -> None:
    if is_banned(agent.organization, agent.spiffe_id):
        raise ValidationError({"spiffe_id": "This SPIFFE ID is banned here. Use another, or lift the ban."})


def _check_names(fields: dict[str, Any]) -> None:
    if unknown := fields.keys() - EDITABLE:
        raise TypeError(f"an agent's {', '.join(sorted(unknown))} cannot be set here")
