"""Every change of policy makes a version; every change that a check must see moves the epoch."""

from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization, User
from agents.models.agent import Agent


class PolicyVersion(models.Model):
    """An immutable copy of all that decides in one organization, named by its content."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="policy_versions")
    number = models.PositiveIntegerField()
    version = models.CharField(max_length=32, help_text="Hash of the content.")
    content = models.TextField(help_text="Canonical JSON.")
    summary = models.CharField(max_length=300)
    agent = models.ForeignKey(
        Agent, models.SET_NULL, null=True, related_name="versions", help_text="The agent that changed; empty: the rest."
    )
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["organization", "number"], name="version_number_unique")]

    def __str__(self) -> str:
        return f"{self.number} ({self.version})"


class Epoch(models.Model):
    """One row, one number: moved in the transaction of every change to agents, keys, permissions or organizations.

    The gateway reads it in the transaction that records a decision. Where it moved since the policy was loaded, it
    loads and decides again, so that a ban holds from its commit on, in every process.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    value = models.BigIntegerField(default=1)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="epoch_one_row")]

    def __str__(self) -> str:
        return str(self.value)
