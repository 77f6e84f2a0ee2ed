"""Organizations, who belongs to them, and teams."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now

from accounts import roles
from audit.ids import new_id


def default_environments() -> list[str]:
    return ["production", "staging", "development"]


class Role(models.TextChoices):
    OWNER = roles.OWNER, "Owner"
    ADMIN = roles.ADMIN, "Admin"
    APPROVER = roles.APPROVER, "Approver"
    AUDITOR = roles.AUDITOR, "Auditor"
    VIEWER = roles.VIEWER, "Viewer"


path_form = RegexValidator(
    r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}){0,7}\Z",
    "Use words with slashes between them, such as httpapi/authz: as in an OPA's /v1/data/httpapi/authz.",
)
slug_form = RegexValidator(r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$", "Use lower-case letters, digits and hyphens.")


class Organization(models.Model):
    """A tenant. Nothing of one is ever visible to, or affects, another (I10)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.CharField(max_length=64, unique=True, validators=[slug_form])
    name = models.CharField(max_length=120)
    environments = ArrayField(
        models.CharField(max_length=32, validators=[slug_form]),
        default=default_environments,
        help_text="Labels that keys and permissions may name.",
    )
    cooldown_seconds = models.PositiveIntegerField(
        default=600,
        validators=[MaxValueValidator(86_400)],
        help_text="How long a denial or an expiry answers the identical check before a new request is made.",
    )
    claim_seconds = models.PositiveIntegerField(
        default=3_600,
        validators=[MinValueValidator(30), MaxValueValidator(604_800)],
        help_text="How long an approval can be claimed after it was given.",
    )
    authz_paths = ArrayField(
        models.CharField(max_length=200, validators=[path_form]),
        default=list,
        blank=True,
        size=20,
        help_text="Further paths below /v1/data that are answered, besides agentweave/authz.",
    )
    single_operator_since = models.DateTimeField(
        null=True, blank=True, help_text="From then on people may approve what their own agents ask."
    )
    single_operator_by = models.CharField(max_length=254, blank=True)
    policy_by_two = models.BooleanField(
        default=False, help_text="Whether one person proposes a change of the policy and another accepts it."
    )
    deny_when_late = models.BooleanField(
        default=False, help_text="Whether high and critical risk is denied while the record is not put in order."
    )
    retention_months = models.PositiveSmallIntegerField(
        default=36,
        db_default=36,
        validators=[MinValueValidator(6), MaxValueValidator(1_200)],
        help_text="How long the record, requests and deliveries are kept.",
    )
    legal_hold = models.BooleanField(default=False, db_default=False, help_text="While it is set, nothing is let go.")
    created_at = models.DateTimeField(db_default=Now())
    members = models.ManyToManyField("accounts.User", through="Membership", related_name="organizations")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person's role in one organization."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role)
    breaks_glass = models.BooleanField(
        default=False, db_default=False, help_text="Whether they may allow a request outside its approval rule."
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["user__email"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_once"),
            models.CheckConstraint(condition=models.Q(role__in=list(roles.ROLES)), name="membership_role"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization}"

    def may(self, ability: str) -> bool:
        return roles.may(self.role, ability)


class Team(models.Model):
    """Some members, by a name: owners of agents, eligible to approve."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="teams")
    name = models.CharField(max_length=80)
    slug = models.CharField(max_length=64, validators=[slug_form])
    members = models.ManyToManyField(Membership, related_name="teams", blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["organization", "slug"], name="team_slug_unique")]

    def __str__(self) -> str:
        return self.name
