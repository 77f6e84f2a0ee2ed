"""An agent: who it is, whose it is, whether it may act at all."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization, Team, User
from accounts.models.organization import slug_form
from agents.models.spending import clean_limits
from agents.spiffe.names import check_spiffe_id
from audit.ids import new_id

RESERVED = {"new"}  # addresses of pages
MAX_PENDING = 100


class Agent(models.Model):
    """Deleting one removes its permissions and keys and keeps the row, the approvals and the record (`deleted_at`)."""

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        SUSPENDED = "suspended", "Suspended"
        BANNED = "banned", "Banned"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="agents")
    slug = models.CharField(max_length=64, validators=[slug_form])
    name = models.CharField(max_length=120)
    purpose = models.CharField(max_length=300, blank=True)
    owner_user = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="owned_agents")
    owner_team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="owned_agents")
    notes = models.TextField(max_length=10_000, blank=True)
    documentation = models.TextField(max_length=50_000, blank=True, help_text="Markdown.")
    spiffe_id = models.CharField("SPIFFE ID", max_length=2_048, null=True, blank=True, validators=[check_spiffe_id])
    status = models.CharField(max_length=9, choices=Status, default=Status.ACTIVE)
    limits = models.JSONField(default=dict, blank=True, help_text="Budgets over all its tiers; empty: none.")
    limit_currency = models.CharField(
        max_length=3, blank=True, validators=[RegexValidator(r"^[A-Z]{3}$", "Use a code of ISO 4217, such as USD.")]
    )
    max_pending = models.PositiveIntegerField(
        "requests that wait at once",
        default=MAX_PENDING,
        db_default=MAX_PENDING,
        validators=[MinValueValidator(1), MaxValueValidator(100_000)],
        help_text="So many of its requests may wait for people, in live and in test mode each.",
    )
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    last_audited_at = models.DateTimeField(null=True, blank=True)
    last_audited_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "slug"], condition=models.Q(deleted_at=None), name="agent_slug_unique"
            ),
            models.UniqueConstraint(
                fields=["organization", "spiffe_id"], condition=models.Q(deleted_at=None), name="agent_spiffe_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(owner_user=None) | models.Q(owner_team=None), name="agent_one_owner"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=["active", "suspended", "banned"]), name="agent_status"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raises ValidationError for two owners, and for a team of another organization."""
        self.spiffe_id = self.spiffe_id or None
        self.limits = clean_limits(self.limits, self.limit_currency, "limit_currency")
        if self.slug in RESERVED:
            raise ValidationError({"slug": "This name has a meaning of its own: choose another."})
        if self.owner_user and self.owner_team:
            raise ValidationError({"owner_team": "An agent has one owner: a person or a team."})
        if self.owner_team and self.owner_team.organization_id != self.organization_id:
            raise ValidationError({"owner_team": "The team must be one of the organization."})

    @property
    def owner(self) -> User | Team | None:
        return self.owner_user or self.owner_team
