"""The quarterly review of one agent: what was looked at, what was decided of each thing, and who signed."""

from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization, User
from agents.models.agent import Agent
from audit.ids import new_id, show_id


class PermissionReview(models.Model):
    """Open until somebody signs it; then `record` says what it came to, whatever becomes of the agent."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="permission_reviews")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="permission_reviews")
    started_at = models.DateTimeField(db_default=Now())
    started_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    signed_at = models.DateTimeField(null=True, blank=True)
    signed_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    notes = models.TextField(max_length=5_000, blank=True)
    record = models.JSONField(null=True, blank=True, help_text="What was signed.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["agent"], condition=models.Q(signed_at=None), name="permission_review_one_open"
            ),
            models.CheckConstraint(
                condition=models.Q(signed_at__isnull=True, record__isnull=True)
                | models.Q(signed_at__isnull=False, record__isnull=False),
                name="permission_review_signed",
            ),
        ]

    def __str__(self) -> str:
        return f"Review of {self.agent} on {self.started_at:%Y-%m-%d}"

    @property
    def review_id(self) -> str:
        return show_id("rvw", self.pk)


class ReviewItem(models.Model):
    """One thing to look at: a tier, a key, or something about the agent itself."""

    class Subject(models.TextChoices):
        TIER = "tier", "Tier"
        KEY = "key", "Key"
        WANTED = "wanted", "Refused"
        AGENT = "agent", "Agent"

    class Verdict(models.TextChoices):
        KEEP = "keep", "Keep"
        NARROW = "narrow", "Narrow"
        REMOVE = "remove", "Remove"
        GONE = "gone", "Gone"  # changed so that there is nothing to decide any more

    review = models.ForeignKey(PermissionReview, models.CASCADE, related_name="items")
    subject = models.CharField(max_length=6, choices=Subject)
    target = models.CharField(max_length=240, help_text="prm_…, key_…, a refused action, or a finding's code.")
    words = models.CharField(max_length=5_000, help_text="What it was when the review met it.")
    token = models.CharField(max_length=16, blank=True, help_text="Changes when the thing does.")
    findings = models.JSONField(default=list, help_text="What is to be said against it, as texts.")
    suggestion = models.JSONField(default=dict, help_text="The fields of a tier that would settle it.")
    verdict = models.CharField(max_length=6, choices=Verdict, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["review", "subject", "target"], name="review_item_once"),
            models.CheckConstraint(
                condition=models.Q(verdict="", decided_at=None)
                | (~models.Q(verdict="") & models.Q(decided_at__isnull=False)),
                name="review_item_decided",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_subject_display()} {self.target}"

    @property
    def name(self) -> str:
        """What its buttons say it is about."""
        return self.words.partition(" ")[0]


class ReviewReminder(models.Model):
    """When people were last reminded that an agent's review is due."""

    agent = models.OneToOneField(Agent, models.CASCADE, primary_key=True, related_name="review_reminder")
    sent_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.agent} at {self.sent_at}"
