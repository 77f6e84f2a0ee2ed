"""What waits for a person."""

import json
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, Value

from accounts.models import Organization, User
from agents.models import Agent
from approvals import states
from audit.ids import new_id, show_id
from audit.sealing import is_marked


def still_waits(now: datetime) -> Q:
    """What waits for a person at `now`: pending, and not overdue; while its deadlines stand still, nothing is."""
    return Q(state=states.PENDING) & (Q(expires_at__gt=now) | Q(frozen_at__isnull=False))


class Approval(models.Model):
    """One request. `approvals.intake` makes, `approvals.moves` claims and cancels, `approvals.services` reviews and
    expires. No one else.

    `context` is the canonical JSON of what was asked, kept as text: JSON columns would lose numbers and refuse U+0000.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="approvals")
    mode = models.CharField(max_length=4)
    agent = models.ForeignKey(Agent, models.PROTECT, related_name="approvals")
    agent_slug = models.CharField(max_length=64)
    key_id = models.UUIDField(help_text="The credential that asked; it alone, or one of the same agent, may claim.")
    requesters = ArrayField(models.UUIDField(), help_text="People in the requester's chain: they may not decide.")
    editors = ArrayField(
        models.UUIDField(),
        default=list,
        db_default=Value([], ArrayField(models.UUIDField())),
        help_text="People who changed what is decided: they may not decide it.",
    )

    action = models.CharField(max_length=200)
    callee = models.CharField(max_length=2_048, blank=True)
    environment = models.CharField(max_length=32, blank=True)
    amount = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    currency = models.CharField(max_length=3, blank=True)
    risk = models.CharField(max_length=8)
    context = models.TextField()
    reasoning = models.TextField(blank=True, help_text="The agent's own claim: unverified.")
    permission = models.TextField(help_text="JSON: the tier that asked, as it was.")
    rule = models.JSONField(help_text="The approval rule, as it was.")
    policy_version = models.CharField(max_length=32)
    digest = models.CharField(max_length=64, help_text="SHA-256, hex, of what is decided; see approvals.digest.")
    asked = models.CharField(max_length=64, null=True, help_text="The digest of what was asked, where it was changed.")
    asked_context = models.TextField(blank=True, default="", db_default="", help_text="The context of that.")

    state = models.CharField(max_length=9, choices=states.STATES, default=states.PENDING)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="Undecided by then: expired.")
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    decided_by_label = models.CharField(max_length=254, blank=True)
    reason = models.TextField(blank=True, help_text="Of the decision; the agent reads it.")
    code = models.CharField(max_length=20, blank=True, default="", db_default="", help_text="Why, for programs.")
    follows = models.ForeignKey(
        "self", models.SET_NULL, null=True, related_name="followed_by", help_text="The one it was asked again after."
    )
    claim_until = models.DateTimeField(null=True, help_text="Fixed when approved.")
    claimed_at = models.DateTimeField(null=True)
    claim_key = models.CharField(max_length=200, blank=True, help_text="Idempotency key of the claim.")
    lapsed_at = models.DateTimeField(null=True, help_text="Approved, never claimed, and too late for it.")
    outcome = models.CharField(max_length=16, blank=True, help_text="What the agent logged: success, failed, …")
    outcome_at = models.DateTimeField(null=True)

    remind_at = models.DateTimeField(null=True, help_text="When the next reminder is due.")
    reminders_sent = models.PositiveSmallIntegerField(default=0, db_default=0)
    escalate_at = models.DateTimeField(null=True, help_text="When the next step of the rule's escalation is due.")
    escalated = models.PositiveSmallIntegerField(default=0, db_default=0, help_text="Steps that were reached.")
    added = models.JSONField(null=True, help_text="Roles, teams and people that those steps add, for queries.")

    by_aap = models.BooleanField(
        default=False,
        db_default=False,
        help_text="One call of a tool, asked over AAP: it shares its request with no other; see approvals.calls.",
    )
    told = models.PositiveSmallIntegerField(default=0, db_default=0, help_text="Comments that the agent may read.")
    reserved = ArrayField(
        models.BigIntegerField(),
        default=list,
        db_default=models.Value([], ArrayField(models.BigIntegerField())),
        help_text="Counters of the budgets it takes of.",
    )
    reserved_amount = models.DecimalField(
        max_digits=30,
        decimal_places=10,
        null=True,
        help_text="What it takes of totals.",
    )
    frozen_at = models.DateTimeField(null=True, help_text="Since when the kill switch holds its deadlines.")
    frozen_for = models.DurationField(
        default=timedelta, db_default=timedelta(), help_text="How long it held them before; they moved by as much."
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            # The inbox: what waits, soonest deadline first; and everything, newest first.
            models.Index(
                fields=["organization", "mode", "expires_at", "id"], name="approval_inbox", condition=Q(state="pending")
            ),
            models.Index(fields=["organization", "mode", "-id"], name="approval_page"),
            models.Index(
                fields=["organization", "mode", "-decided_at", "-id"],
                name="approval_decided",
                condition=~Q(state="pending"),
            ),
            models.Index(fields=["organization", "mode", "agent", "-id"], name="approval_agent"),
            models.Index(fields=["organization", "mode", "agent", "action", "-id"], name="approval_similar"),
            models.Index(fields=["asked", "-id"], name="approval_asked", condition=Q(asked__isnull=False)),
            models.Index(fields=["digest", "-id"], name="approval_digest"),  # the cool-down of an identical check
            # The request that a new one is asked again after: approvals.intake
            models.Index(
                fields=["agent", "mode", "environment", "action", "-id"],
                name="approval_changes",
                condition=Q(code=states.CHANGES),
            ),
            # How many of an agent wait: approvals.pending
            models.Index(fields=["agent", "mode", "expires_at"], name="approval_places", condition=Q(state="pending")),
            models.Index(fields=["expires_at"], name="approval_expiring", condition=Q(state="pending")),  # the sweep
            models.Index(fields=["remind_at"], name="approval_reminding", condition=Q(state="pending")),
            models.Index(fields=["escalate_at"], name="approval_escalating", condition=Q(state="pending")),
            models.Index(fields=["id"], name="approval_reserving", condition=~Q(reserved=[])),  # budgets to give back
            models.Index(
                fields=["claim_until"],
                name="approval_lapsing",
                condition=Q(state="approved", claimed_at=None, lapsed_at=None),
            ),
        ]
        constraints = [
            # One open request for one digest (I4): identical checks meet here, raced or not.
            models.UniqueConstraint(
                fields=["digest"],
                condition=Q(state="pending") | Q(state="approved", claimed_at=None, lapsed_at=None),
                name="approval_open_once",
            ),
            models.CheckConstraint(condition=Q(state__in=list(states.STATES)), name="approval_state"),
            models.CheckConstraint(
                condition=Q(asked=None, asked_context="")
                | (Q(asked__isnull=False) & ~Q(asked=F("digest")) & ~Q(asked_context="")),
                name="approval_asked_pair",
            ),
            models.CheckConstraint(
                condition=Q(state="pending", decided_at=None) | (~Q(state="pending") & Q(decided_at__isnull=False)),
                name="approval_decided_at",
            ),
            models.CheckConstraint(
                condition=Q(state="approved", claim_until__isnull=False)
                | (~Q(state="approved") & Q(claim_until=None, claimed_at=None, lapsed_at=None)),
                name="approval_claim_of_approved",
            ),
            models.CheckConstraint(
                condition=Q(claimed_at=None) | Q(lapsed_at=None, claimed_at__lte=F("claim_until")),
                name="approval_claimed_in_time",
            ),
            models.CheckConstraint(condition=Q(mode__in=["live", "test"]), name="approval_mode"),
        ]

    def __str__(self) -> str:
        return self.approval_id

    @property
    def is_edited(self) -> bool:
        """Whether what is decided is not what the agent asked."""
        return self.asked is not None

    @property
    def is_outside_rule(self) -> bool:
        """Whether somebody broke the glass for it."""
        return self.code == states.BREAK_GLASS

    @property
    def approval_id(self) -> str:
        return show_id("apr", self.id)

    @property
    def deadline(self) -> datetime | None:
        """When it expires undecided; None while its deadlines stand still."""
        return None if self.frozen_at else self.expires_at

    @property
    def began_at(self) -> datetime:
        """From when its time counts: later than it was made by as long as it stood still."""
        return self.created_at + self.frozen_for

    @cached_property
    def context_data(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.context)
        return value

    @property
    def is_covered(self) -> bool:
        """Whether values of its context are kept withheld or encrypted: read it by approvals.uncovering."""
        return is_marked(self.context)

    @cached_property
    def permission_data(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.permission)
        return value
