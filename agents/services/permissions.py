"""Tiers: add, change, delete. Each makes a policy version and one event."""

from typing import Any

from agents import policy
from agents.load import permission_of
from agents.models import Agent, Permission
from agents.services.by import Who, person
from agents.services.errors import Conflict
from agents.services.facts import difference, facts
from agents.services.two import check_alone
from agents.services.versions import changing
from agents.services.writing import check_unchanged, write_event
from audit.clock import database_now

EDITABLE = frozenset(
    {
        "action",
        "effect",
        "max_amount",
        "currency",
        "environment",
        "condition",
        "callee",
        "risk",
        "approval_rule",
        "expires_at",
        "limits",
        "notes",
    }
)


def create_permission(*, agent: Agent, by: Who, **fields: Any) -> Permission:
    """Adds a tier; `action` and `effect` are required, the others as in EDITABLE. Raises ValidationError, Conflict."""
    row = Permission(agent=agent, changed_by=person(by), **_known(fields))
    with changing(organization=agent.organization, by=by) as change:
        if not Agent.objects.filter(pk=agent.pk, deleted_at=None).exists():
            raise Conflict("This agent was deleted by somebody else.")
        _clean(row)
        row.save(force_insert=True)
        _write("create", row, by, {"after": facts(row)})
        change.summary, change.agent = _summary("Added", row), agent
    return row


def change_permission(*, permission: Permission, by: Who, expected: str | None = None, **fields: Any) -> Permission:
    """Changes a tier in place; a request that waits keeps the tier it was asked under.

    Raises ValidationError; Conflict where the tier is not what `expected` (facts.token) says, or gone.
    """
    _known(fields)
    with changing(organization=permission.agent.organization, by=by) as change:
        row = _locked(permission)
        check_unchanged(row, expected)
        before = facts(row)
        for name, value in fields.items():
            setattr(row, name, value)
        _clean(row)
        changed = difference(before, facts(row))
        if changed:
            row.changed_at, row.changed_by = database_now(), person(by)
            row.save(update_fields=[*fields, "approval_rule", "changed_at", "changed_by"])
            _write("change", row, by, changed)
        change.summary, change.agent = _summary("Changed", row), row.agent
    return row


def delete_permission(*, permission: Permission, by: Who, expected: str | None = None) -> None:
    """Removes a tier: from the commit on nothing is allowed by it, and what it asked for cannot be claimed.

    Raises Conflict.
    """
    with changing(organization=permission.agent.organization, by=by, alone=True) as change:
        row = _locked(permission)
        if row.effect == "deny":  # as it is now, whatever was read before
            check_alone(row.agent.organization, by)
        check_unchanged(row, expected)
        _write("delete", row, by, {"before": facts(row)})
        change.summary, change.agent = _summary("Deleted", row), row.agent
        row.delete()


def _clean(row: Permission) -> None:
    """Raises ValidationError. What the table's constraints hold, its fields check, and the agent was just read: the
    database is not asked before."""
    row.full_clean(exclude={"agent"}, validate_constraints=False, validate_unique=False)


def _summary(verb: str, row: Permission) -> str:
    return f"{verb} on {row.agent.slug}: {policy.describe(permission_of(row))}"


def _locked(permission: Permission) -> Permission:
    row = (
        Permission.objects.select_for_update(of=("self",))
        .select_related("agent__organization")
        .filter(pk=permission.pk, agent__deleted_at=None)
        .first()
    )
    if row is None:
        raise Conflict("This tier was deleted by somebody else.")
    return row


def _write(verb: str, row: Permission, by: Who, data: dict[str, Any]) -> None:
    write_event(
        verb=verb,
        row=row,
        by=by,
        organization_id=row.agent.organization_id,
        agent=row.agent.slug,
        action=row.action,
        data=data,
    )


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    if unknown := fields.keys() - EDITABLE:
        raise TypeError(f"a permission's {', '.join(sorted(unknown))} cannot be set here")
    return fields
