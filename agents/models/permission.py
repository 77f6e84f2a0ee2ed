"""A tier: what one agent may do, up to how much, and whether a person is asked."""

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now

from accounts.models import User
from agents import policy
from agents.models.agent import Agent
from agents.models.rule import ApprovalRule
from agents.models.spending import clean_limits
from agents.policy.names import FORM
from agents.spiffe.names import check_spiffe_id
from audit.ids import new_id

ORDER = ("action", models.F("max_amount").asc(nulls_last=True), "effect")


class Permission(models.Model):
    """One rung. agents.policy decides; this is where people keep it."""

    class Effect(models.TextChoices):
        ALLOW = "allow", "Allow"
        ASK = "ask", "Ask a person"
        DENY = "deny", "Deny"

    class Risk(models.TextChoices):
        LOW = "low", "Low"
        MEDIUM = "medium", "Medium"
        HIGH = "high", "High"
        CRITICAL = "critical", "Critical"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="permissions")
    action = models.CharField(max_length=200)
    effect = models.CharField(max_length=5, choices=Effect)
    max_amount = models.DecimalField(
        max_digits=20, decimal_places=4, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    currency = models.CharField(
        max_length=3, blank=True, validators=[RegexValidator(r"^[A-Z]{3}$", "Use a code of ISO 4217, such as USD.")]
    )
    environment = models.CharField(max_length=32, blank=True, help_text="Empty: every environment.")
    condition = models.TextField(max_length=2_000, blank=True, help_text="CEL; empty: always.")
    callee = models.CharField(
        max_length=2_048, blank=True, validators=[check_spiffe_id], help_text="SPIFFE ID of the callee; empty: any."
    )
    risk = models.CharField(max_length=8, choices=Risk, default=Risk.LOW)
    approval_rule = models.ForeignKey(
        ApprovalRule, models.PROTECT, null=True, blank=True, related_name="permissions", help_text="Empty: the default."
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    limits = models.JSONField(default=dict, blank=True, help_text="Budgets, such as count_per_hour; empty: none.")
    notes = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())
    changed_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = list(ORDER)
        constraints = [
            models.CheckConstraint(condition=models.Q(effect__in=["allow", "ask", "deny"]), name="permission_effect"),
            models.CheckConstraint(
                condition=models.Q(risk__in=["low", "medium", "high", "critical"]), name="permission_risk"
            ),
            models.CheckConstraint(
                condition=models.Q(max_amount=None) | models.Q(max_amount__gte=0), name="permission_maximum"
            ),
        ]

    def __str__(self) -> str:
        return self.action

    def clean(self) -> None:
        """Raises ValidationError for what the policy could not mean."""
        errors: dict[str, str] = {}
        organization = self.agent.organization
        if self.action and not policy.is_permission_name(self.action):
            errors["action"] = f"{FORM}, or a wildcard such as 'email.*'."
        if self.environment and self.environment not in organization.environments:
            known = ", ".join(organization.environments)
            errors["environment"] = f"The organization has no such environment. It has: {known}."
        if self.effect == self.Effect.DENY:
            self.limits = {}  # nothing is counted of what is never allowed
        self.limits = clean_limits(self.limits, self.currency)
        if self.condition.strip():
            try:
                policy.compile_condition(self.condition)
            except policy.ConditionError as error:
                errors["condition"] = f"Line {error.line}, column {error.column}: {error.message}"
        if self.effect != self.Effect.ASK:
            self.approval_rule = None  # nobody is asked: no rule applies
        elif self.approval_rule and self.approval_rule.organization_id != organization.pk:
            errors["approval_rule"] = "The rule must be one of the organization."
        if errors:
            raise ValidationError(errors)
