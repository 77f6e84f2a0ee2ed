"""Approval rules: who may decide, and how many must."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.by import lock
from accounts.models import Organization
from accounts.rules import Refused
from agents.models import ApprovalRule
from agents.outlook import Staff, stuck_words
from agents.services import deciders, escalation
from agents.services.by import Who, check
from agents.services.errors import Conflict
from agents.services.facts import difference, facts
from agents.services.two import check_alone
from agents.services.writing import check_unchanged, write_event

EDITABLE = frozenset(
    {
        "name",
        "is_default",
        "roles",
        "teams",
        "people",
        "approvals",
        "alternatives",
        "denials",
        "reason_to_approve",
        "reason_to_deny",
        "minutes",
        "escalation",
        "assurance",
        "confirm_critical",
        "edits_allowed",
        "edit_fields",
        "grants_allowed",
        "critical_seconds",
    }
)
DEFAULT_NAME = "Standard"


@transaction.atomic
def create_rule(*, organization: Organization, by: Who, name: str, **fields: Any) -> ApprovalRule:
    """A rule for tiers that ask. The first of an organization, or one with `is_default`, becomes its default.

    `teams`, `people`, `alternatives` and the steps of `escalation` are given by names, as agents.services.deciders and
    agents.services.escalation take them.
    Raises Refused, ValidationError: also where nobody could satisfy it as people are now.
    """
    organization = lock(organization)
    check(by, organization)
    check_alone(organization, by)
    row = ApprovalRule(organization=organization, name=name, **_known(fields, organization))
    default = ApprovalRule.objects.filter(organization=organization, is_default=True).first()
    row.is_default = row.is_default or default is None
    row.full_clean(validate_constraints=False)
    row.validate_constraints(exclude={"is_default"})
    _check_possible(row)
    if default and row.is_default:
        _unset(default, by)
    row.save(force_insert=True)
    _write("create", row, by, {"after": facts(row)})
    return row


@transaction.atomic
def change_rule(*, rule: ApprovalRule, by: Who, expected: str | None = None, **fields: Any) -> ApprovalRule:
    """Changes a rule for requests to come; one that waits keeps the rule it was made under.

    Raises ValidationError, Conflict, and Refused where the organization would have no default.
    """
    row = _locked(rule, by)
    fields = _known(fields, rule.organization)
    check_unchanged(row, expected)
    before = facts(row)
    for name, value in fields.items():
        setattr(row, name, value)
    if before["is_default"] and not row.is_default:
        raise Refused("Make another rule the default instead.")
    row.full_clean(validate_constraints=False)
    row.validate_constraints(exclude={"is_default"})
    _check_possible(row)
    changed = difference(before, facts(row))
    if changed:
        if row.is_default and not before["is_default"]:
            for other in ApprovalRule.objects.filter(organization=row.organization, is_default=True):
                _unset(other, by)
        row.version += 1
        row.save(update_fields=[*fields, "version"])
        _write("change", row, by, changed | {"version": row.version})
    return row


@transaction.atomic
def delete_rule(*, rule: ApprovalRule, by: Who, expected: str | None = None) -> None:
    """Raises Conflict, and Refused for the default or a rule that tiers use."""
    row = _locked(rule, by)
    check_unchanged(row, expected)
    if row.is_default:
        raise Refused("This is the default. Make another rule the default first.")
    used = list(row.permissions.select_related("agent").order_by("agent__slug", "action")[:3])
    if used:
        names = ", ".join(f"{each.agent.slug}: {each.action}" for each in used)
        raise Refused(f"Tiers still use this rule ({names}). Give them another one first.")
    _write("delete", row, by, {"before": facts(row)})
    row.delete()


def _check_possible(row: ApprovalRule) -> None:
    """An organization without people begins with its rule; from then on each must be one that somebody can satisfy."""
    staff = Staff(row.organization)
    if staff and staff.is_stuck(row):
        raise ValidationError({"approvals": stuck_words(staff.chances(row))})


def _unset(rule: ApprovalRule, by: Who) -> None:
    rule.is_default = False
    rule.save(update_fields=["is_default"])
    _write("change", rule, by, {"before": {"is_default": True}, "after": {"is_default": False}})


def _locked(rule: ApprovalRule, by: Who) -> ApprovalRule:
    organization = lock(rule.organization)
    check(by, organization)
    check_alone(organization, by)
    row = ApprovalRule.objects.select_for_update().filter(pk=rule.pk).first()
    if row is None:
        raise Conflict("This rule was deleted by somebody else.")
    return row


def _write(verb: str, row: ApprovalRule, by: Who, data: dict[str, Any]) -> None:
    write_event(verb=verb, row=row, by=by, organization_id=row.organization_id, data=data)


def _known(fields: dict[str, Any], organization: Organization) -> dict[str, Any]:
    if unknown := fields.keys() - EDITABLE:
        raise TypeError(f"a rule's {', '.join(sorted(unknown))} cannot be set here")
    fields = dict(fields)
    if "escalation" in fields:
        fields["escalation"] = escalation.resolve(organization, fields["escalation"])
    if "alternatives" in fields:
        fields["alternatives"] = deciders.resolve_ways(organization, fields["alternatives"])
    for name in ("teams", "people"):
        if name in fields:
            fields[name] = deciders.resolve(organization, {name: fields[name]}, name)[name]
    return fields
