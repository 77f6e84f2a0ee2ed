"""What the kill switch holds: everything, one agent, or the actions of one name or pattern."""

from django.db import models
from django.db.models import Q

from accounts.models import Organization, User
from agents import policy
from agents.models.agent import Agent
from audit.ids import new_id, show_id


class Stop(models.Model):
    """From `stopped_at` until it is released: asked for by one person, confirmed by another. Rows stay.

    approvals.stops is the only writer; agents.load makes it part of the policy.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="stops")
    agent = models.ForeignKey(Agent, models.CASCADE, null=True, related_name="stops", help_text="Empty: every agent.")
    pattern = models.CharField(max_length=200, blank=True, help_text="An action or a wildcard; empty: every action.")
    reason = models.CharField(max_length=500)
    stopped_at = models.DateTimeField()
    stopped_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    stopped_by_label = models.CharField(max_length=254)
    asked_at = models.DateTimeField(null=True, help_text="When its release was asked for.")
    asked_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    asked_by_label = models.CharField(max_length=254, blank=True)
    release_reason = models.CharField(max_length=500, blank=True)
    released_at = models.DateTimeField(null=True)
    released_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    released_by_label = models.CharField(max_length=254, blank=True)

    class Meta:
        ordering = ["-stopped_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "agent", "pattern"],
                condition=Q(released_at=None),
                nulls_distinct=False,
                name="stop_once",
            ),
            models.CheckConstraint(
                condition=Q(asked_at=None, asked_by_label="", release_reason="")
                | (Q(asked_at__isnull=False) & ~Q(asked_by_label="") & ~Q(release_reason="")),
                name="stop_asked",
            ),
            models.CheckConstraint(
                condition=Q(released_at=None, released_by_label="")
                | (Q(released_at__isnull=False, asked_at__isnull=False) & ~Q(released_by_label="")),
                name="stop_released_once_asked",
            ),
        ]

    def __str__(self) -> str:
        return self.words

    @property
    def stop_id(self) -> str:
        return show_id("stp", self.id)

    @property
    def facts(self) -> policy.Stop:
        """As the pure policy sees it."""
        return policy.Stop(str(self.agent_id) if self.agent_id else "", self.pattern)

    @property
    def words(self) -> str:
        """What stands still: `every action of every agent`, `stripe.* of support-bot`."""
        return f"{self.pattern or 'every action'} of {self.agent.slug if self.agent else 'every agent'}"

    @property
    def confirmation(self) -> str:
        """What is typed to release it, where nobody else can confirm."""
        return self.pattern or (self.agent.slug if self.agent else self.organization.slug)
