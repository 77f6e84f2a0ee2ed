"""Who may decide, and how many must."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from accounts import roles
from accounts.models import Organization
from agents import assurance
from audit.ids import new_id

APPROVALS = [MinValueValidator(1), MaxValueValidator(10)]


def default_roles() -> list[str]:
    return [roles.OWNER, roles.ADMIN, roles.APPROVER]


class ApprovalRule(models.Model):
    """Attached to permissions; the organization has one default. A request keeps a snapshot of its rule.

    It is satisfied by `approvals` of those whom `roles`, `teams` and `people` name, or in one of the ways that
    `alternatives` lists. Teams and people are kept by id, with the name they had: see agents.services.deciders.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="approval_rules")
    name = models.CharField(max_length=80)
    version = models.PositiveIntegerField(default=1, help_text="A new number with each change.")
    is_default = models.BooleanField(default=False)
    roles = ArrayField(models.CharField(max_length=8), default=default_roles, blank=True)
    teams = models.JSONField(default=list, blank=True)
    people = models.JSONField(default=list, blank=True)
    approvals = models.PositiveSmallIntegerField(default=1, validators=APPROVALS, help_text="Approvals needed.")
    alternatives = models.JSONField(
        default=list, blank=True, help_text="Other ways to satisfy it: each a number of approvals, and by whom."
    )
    denials = models.PositiveSmallIntegerField(default=1, validators=APPROVALS, help_text="Denials that end it.")
    reason_to_approve = models.BooleanField(default=False)
    reason_to_deny = models.BooleanField(default=True)
    minutes = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(1), MaxValueValidator(43_200)], help_text="Minutes until it expires."
    )
    escalation = models.JSONField(
        default=list, blank=True, help_text="Steps, soonest first: who else is asked, after how long."
    )
    assurance = models.CharField(
        max_length=8, choices=list(assurance.LEVELS.items()), default=assurance.SLACK, help_text="The least it takes."
    )
    confirm_critical = models.BooleanField(
        default=True, help_text="Who approves what is critical types the action's name."
    )
    edits_allowed = models.BooleanField(default=False, help_text="Whether who approves may change what is approved.")
    edit_fields = ArrayField(
        models.CharField(max_length=200), default=list, blank=True, help_text="Fields of the context that may change."
    )
    grants_allowed = models.BooleanField(default=False, help_text="Whether approving may allow more of the same kind.")
    critical_seconds = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(3_600)], help_text="Least time on the page of what is critical."
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-is_default", "name"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "name"], name="rule_name_unique"),
            models.UniqueConstraint(
                fields=["organization"], condition=models.Q(is_default=True), name="rule_one_default"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def ways(self) -> list[dict[str, Any]]:
        """Every way to satisfy it: how many approvals, and by whom."""
        return [_way(vars(self)), *self.alternatives]

    def clean(self) -> None:
        """Raises ValidationError where nobody could decide."""
        deciders = {role for role in roles.ROLES if roles.may(role, "approvals:decide")}
        if not set(self.roles) <= deciders:
            raise ValidationError({"roles": f"Choose among the roles that may decide: {', '.join(sorted(deciders))}."})
        if not (self.roles or self.teams or self.people):
            raise ValidationError({"roles": "Say who decides: roles, teams or people."})
        if self.edits_allowed and not self.edit_fields:
            raise ValidationError({"edit_fields": "Name the fields of the context that may be changed."})
        late = [step for step in self.escalation if step["after_minutes"] >= self.minutes]
        if late:
            after = late[0]["after_minutes"]
            said = f"After {after} minutes is too late: by then the request has expired, after {self.minutes}."
            raise ValidationError(said)

    def snapshot(self) -> dict[str, object]:
        """What a request keeps of its rule."""
        return {
            "id": str(self.id),
            "name": self.name,
            "version": self.version,
            **_way(vars(self)),
            "alternatives": self.alternatives,
            "denials": self.denials,
            "reason_to_approve": self.reason_to_approve,
            "reason_to_deny": self.reason_to_deny,
            "minutes": self.minutes,
            "escalation": self.escalation,
            "assurance": self.assurance,
            "confirm_critical": self.confirm_critical,
            "edits_allowed": self.edits_allowed,
            "edit_fields": self.edit_fields,
            "grants_allowed": self.grants_allowed,
            "critical_seconds": self.critical_seconds,
        }


def _way(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "approvals": fields["approvals"],
        "roles": sorted(fields["roles"]),
        "teams": fields["teams"],
        "people": fields["people"],
    }
