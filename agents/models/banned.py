"""SPIFFE IDs that nobody here may be, and that nobody here may do anything to."""

from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization, User
from agents.spiffe.names import check_spiffe_id
from audit.ids import new_id


class BannedIdentity(models.Model):
    """Part of the policy: it holds from its commit on, whichever agent has or gets the name, or none."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="banned_identities")
    spiffe_id = models.CharField("SPIFFE ID", max_length=2_048, validators=[check_spiffe_id])
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name_plural = "banned identities"
        ordering = ["spiffe_id"]
        constraints = [models.UniqueConstraint(fields=["organization", "spiffe_id"], name="banned_identity_once")]

    def __str__(self) -> str:
        return self.spiffe_id


def is_banned(organization: Organization, spiffe_id: str | None) -> bool:
    """Whether this name is banned in the organization; no name is not."""
    return bool(spiffe_id) and BannedIdentity.objects.filter(organization=organization, spiffe_id=spiffe_id).exists()
