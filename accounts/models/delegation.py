"""Who is away, and who votes in their name meanwhile."""

from django.db import models
from django.db.models.functions import Now

from accounts.models.organization import Membership, Organization
from audit.ids import new_id


class Delegation(models.Model):
    """A member is away for a period. Those whom they name, if any, may decide in their name while it lasts.

    Nobody gains by it: a vote in somebody's name needs that they themselves could give it, and that who gives it may
    decide at all. See approvals.rules.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="delegations")
    delegator = models.ForeignKey(Membership, models.CASCADE, related_name="delegations")
    delegates = models.ManyToManyField(Membership, related_name="delegated", blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True, help_text="Called off before its end.")
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["starts_at"]
        indexes = [models.Index(fields=["organization", "ends_at"], name="delegation_running")]
        constraints = [
            models.CheckConstraint(condition=models.Q(ends_at__gt=models.F("starts_at")), name="delegation_period")
        ]

    def __str__(self) -> str:
        return f"{self.delegator}: {self.starts_at:%Y-%m-%d} to {self.ends_at:%Y-%m-%d}"
