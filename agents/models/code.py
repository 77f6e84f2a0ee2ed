"""Policy as code: what was applied from files."""

from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization, User
from audit.ids import new_id, show_id


class AppliedPolicy(models.Model):
    """One time that files were applied, and these files: the latest is what Git says there is."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="applied_policies")
    applied_at = models.DateTimeField(db_default=Now())
    applied_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    files = models.JSONField(help_text="Names and texts, in the order they lie over each other.")
    source = models.CharField(max_length=200, blank=True, help_text="Where they come from, such as a commit.")
    prune = models.BooleanField(default=False)
    digest = models.CharField(max_length=64, help_text="Of the plan.")
    summary = models.CharField(max_length=200)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.source or 'files'} on {self.applied_at:%Y-%m-%d}"


class ShadowPolicy(models.Model):
    """A policy that is asked beside the one in force, and never answers: what it would say is in each check's event."""

    organization = models.OneToOneField(Organization, models.CASCADE, primary_key=True, related_name="shadow_policy")
    state = models.JSONField(help_text="Agents and tiers, as agents.code.state has them.")
    source = models.CharField(max_length=200, blank=True)
    set_at = models.DateTimeField()
    set_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    def __str__(self) -> str:
        return f"Shadow of {self.organization}"


class PolicyProposal(models.Model):
    """Files that somebody wants applied where that takes two: what they change is fixed by the plan's digest."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        APPLIED = "applied", "Applied"
        REJECTED = "rejected", "Rejected"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="policy_proposals")
    files = models.JSONField()
    source = models.CharField(max_length=200, blank=True)
    prune = models.BooleanField(default=False)
    digest = models.CharField(max_length=64, help_text="Of the plan.")
    summary = models.CharField(max_length=200)
    words = models.TextField(help_text="The plan, as it was shown.")
    proposed_at = models.DateTimeField(db_default=Now())
    proposed_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state="waiting", decided_at=None)
                | (~models.Q(state="waiting") & models.Q(decided_at__isnull=False)),
                name="policy_proposal_decided",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.summary} ({self.state})"

    @property
    def proposal_id(self) -> str:
        return show_id("ppr", self.pk)
