"""Who may decide, and how many must."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from accounts import roles
from accounts.models import Organization
from audit.ids import new_id


def default_roles() -> list[str]:
    return [roles.OWNER, roles.ADMIN, roles.APPROVER]


class ApprovalRule(models.Model):
    """Attached to permissions; the organization has one default. A request keeps a snapshot of its rule."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="approval_rules")
    name = models.CharField(max_length=80)
    is_default = models.BooleanField(default=False)
    roles = ArrayField(models.CharField(max_length=8), default=default_roles)
    approvals = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(10)], help_text="Approvals needed."
    )
    denials = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(10)], help_text="Denials that end it."
    )
    reason_to_approve = models.BooleanField(default=False)
    reason_to_deny = models.BooleanField(default=True)
    minutes = models.PositiveIntegerField(
        default=60, validators=[MinValueValidator(1), MaxValueValidator(43_200)], help_text="Minutes until it expires."
    )
    escalation = models.JSONField(
        default=list, blank=True, help_text="Steps, soonest first: who else is asked, after how long."
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

    def clean(self) -> None:
        """Raises ValidationError where nobody could decide."""
        deciders = {role for role in roles.ROLES if roles.may(role, "approvals:decide")}
        if not self.roles or not set(self.roles) <= deciders:
            raise ValidationError({"roles": f"Choose among the roles that may decide: {', '.join(sorted(deciders))}."})
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
            "roles": sorted(self.roles),
            "approvals": self.approvals,
            "denials": self.denials,
            "reason_to_approve": self.reason_to_approve,
            "reason_to_deny": self.reason_to_deny,
            "minutes": self.minutes,
            "escalation": self.escalation,
        }
