"""What people did about a request: votes, and changes of what it asks."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from accounts.models import User
from agents.assurance import LEVELS, SLACK
from approvals.models.approval import Approval


class Review(models.Model):
    """One person's vote on one approval, and the digest they were shown (I3)."""

    approval = models.ForeignKey(Approval, models.CASCADE, related_name="reviews")
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    on_behalf_of = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", help_text="In whose name, where not in their own."
    )
    verdict = models.CharField(max_length=7, choices=[("approve", "Approved"), ("deny", "Denied")])
    reason = models.TextField(blank=True, max_length=2_000)
    changes = models.BooleanField(default=False, db_default=False, help_text="A denial that asks for changes.")
    digest = models.CharField(max_length=64)
    via = models.CharField(max_length=8, choices=[("browser", "Browser"), ("slack", "Slack"), ("api", "API")])
    assurance = models.CharField(
        max_length=8, choices=list(LEVELS.items()), default=SLACK, help_text="How sure it is that they said it."
    )
    created_at = models.DateTimeField(db_default=Now())
    voided_at = models.DateTimeField(null=True, help_text="When the request was changed after this vote.")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["approval", "user"], name="review_once", condition=Q(voided_at=None)),
            models.UniqueConstraint(
                "approval", Coalesce("on_behalf_of", "user"), name="review_voice_once", condition=Q(voided_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.verdict}"


class Edit(models.Model):
    """One change of what a request asks, before it was decided. `approvals.edits` writes it; nothing changes it."""

    approval = models.ForeignKey(Approval, models.CASCADE, related_name="edits")
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    reason = models.TextField()
    changes = models.JSONField(help_text="[field, before, after] of each.")
    context_before = models.TextField()
    digest_before = models.CharField(max_length=64)
    digest_after = models.CharField(max_length=64)
    via = models.CharField(max_length=8)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.user}: {self.reason[:60]}"
