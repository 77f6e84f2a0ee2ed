"""Agents' credentials. Only a hash and the last four characters are kept."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization, User
from agents.models.agent import Agent
from audit.ids import new_id

PREFIXES = {"live": "ak_", "test": "test_"}
SCOPES = {
    "sdk": "Check, wait, claim and log (/sdk)",
    "authz:query": "Ask as an OPA client does (/v1/data)",
    "aap": "Ask as an AAP client does (/aap)",
}


def default_scopes() -> list[str]:
    return ["sdk"]


class ApiKey(models.Model):
    """A key of one agent, or of every agent of the organization (`agent` empty)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="api_keys")
    agent = models.ForeignKey(Agent, models.CASCADE, null=True, blank=True, related_name="api_keys")
    mode = models.CharField(max_length=4, choices=[("live", "Live"), ("test", "Test")])
    name = models.CharField(max_length=80)
    environment = models.CharField(max_length=32, blank=True, help_text="Empty: no environment is proved by this key.")
    scopes = ArrayField(models.CharField(max_length=32, choices=SCOPES), default=default_scopes)
    key_hash = models.BinaryField(max_length=32, unique=True)
    last4 = models.CharField(max_length=4)
    rate_limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100_000_000)],
        help_text="Requests a minute; empty: the installation's.",
    )
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    rolled_to = models.OneToOneField("self", models.SET_NULL, null=True, blank=True, related_name="rolled_from")
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.CheckConstraint(condition=models.Q(mode__in=["live", "test"]), name="key_mode")]

    def __str__(self) -> str:
        return f"{self.name} ({self.shown})"

    def clean(self) -> None:
        """Raises ValidationError for an environment, agent or scope that does not exist here."""
        environments = self.organization.environments
        if self.environment and self.environment not in environments:
            raise ValidationError(
                {"environment": f"The organization has no such environment. It has: {', '.join(environments)}."}
            )
        if self.agent and self.agent.organization_id != self.organization.pk:
            raise ValidationError({"agent": "The agent must be one of the organization."})
        if not self.scopes:
            raise ValidationError({"scopes": "Choose at least one scope."})

    @property
    def shown(self) -> str:
        """What may be shown of the key: `ak_…wxyz`."""
        return f"{PREFIXES[self.mode]}…{self.last4}"

    @property
    def is_revoked(self) -> bool:
        return self.revoked_at is not None
