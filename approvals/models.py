"""What waits for a person, and what people said."""

import json
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce, Now

from accounts.models import Organization, User
from agents.assurance import LEVELS, SLACK, STEPUP
from agents.models import Agent
from approvals import states
from audit.ids import new_id, show_id
from audit.sealing import is_marked


def still_waits(now: datetime) -> Q:
    """What waits for a person at `now`: pending, and not overdue; while its deadlines stand still, nothing is."""
    return Q(state=states.PENDING) & (Q(expires_at__gt=now) | Q(frozen_at__isnull=False))


class Approval(models.Model):
    """One request. `approvals.intake` makes, claims and cancels; `approvals.services` reviews and expires. No one else.

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


class Grant(models.Model):
    """More of the same kind, allowed with an approval: see approvals.grants, its writer, and approvals.granting."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="grants")
    mode = models.CharField(max_length=4)
    agent = models.ForeignKey(Agent, models.PROTECT, related_name="grants")
    agent_slug = models.CharField(max_length=64)
    approval = models.OneToOneField(Approval, models.PROTECT, related_name="grant")
    action = models.CharField(max_length=200)
    callee = models.CharField(max_length=2_048, blank=True)
    environment = models.CharField(max_length=32, blank=True)
    permission = models.TextField(help_text="JSON: the tier that asked, as it was.")
    rule = models.JSONField(help_text="The approval rule, as it was.")
    currency = models.CharField(max_length=3, blank=True)
    each = models.DecimalField(max_digits=30, decimal_places=10, null=True, help_text="At most so much a use.")
    total = models.DecimalField(max_digits=30, decimal_places=10, null=True, help_text="At most so much in all.")
    used = models.DecimalField(max_digits=30, decimal_places=10, default=0, help_text="So much by now.")
    same = models.TextField(help_text="JSON: the fields of the context that stay, with their values.")
    max_uses = models.PositiveIntegerField()
    uses = models.PositiveIntegerField(default=0)
    words = models.TextField(help_text="What it allows, as a sentence.")
    granted_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    granted_by_label = models.CharField(max_length=254)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by_label = models.CharField(max_length=254, blank=True)
    revoked_because = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["agent", "expires_at"], name="grant_live", condition=Q(revoked_at=None)),
            models.Index(fields=["organization", "mode", "-id"], name="grant_page"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(uses__lte=F("max_uses")), name="grant_uses"),
            models.CheckConstraint(condition=Q(total=None) | Q(used__lte=F("total")), name="grant_total"),
            models.CheckConstraint(
                condition=Q(each=None, total=None) | Q(each__isnull=False, total__isnull=False), name="grant_amounts"
            ),
            models.CheckConstraint(
                condition=Q(revoked_at=None, revoked_by_label="", revoked_because="")
                | (Q(revoked_at__isnull=False) & ~Q(revoked_by_label="") & ~Q(revoked_because="")),
                name="grant_revoked",
            ),
        ]

    def __str__(self) -> str:
        return self.words

    @property
    def grant_id(self) -> str:
        return show_id("grt", self.id)

    @cached_property
    def permission_data(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.permission)
        return value

    def state(self, now: datetime) -> str:
        """`active`, or how it ended: `revoked`, `expired`, `used`."""
        if self.revoked_at:
            return "revoked"
        if self.expires_at <= now:
            return "expired"
        return "active" if self.uses < self.max_uses else "used"


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


class BreakGlass(models.Model):
    """Somebody allowed a request outside its rule. `approvals.glass` writes it; no one else."""

    JUSTIFIED, UNJUSTIFIED = "justified", "unjustified"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="broken_glass")
    mode = models.CharField(max_length=4)
    approval = models.OneToOneField(Approval, models.PROTECT, related_name="broken_glass")
    instead_of = models.ForeignKey(
        Approval, models.PROTECT, null=True, related_name="+", help_text="What had ended, and is allowed after all."
    )
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    user_label = models.CharField(max_length=254)
    digest = models.CharField(max_length=64, help_text="What they were shown, and allowed.")
    reason = models.TextField()
    assurance = models.CharField(max_length=8, choices=list(LEVELS.items()))
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="By when an owner signs it off.")
    remind_at = models.DateTimeField(help_text="When owners are told that nobody has, next.")
    signed_at = models.DateTimeField(null=True)
    signed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    signed_by_label = models.CharField(max_length=254, blank=True)
    verdict = models.CharField(max_length=11, blank=True)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["organization", "mode", "-id"], name="glass_page"),
            models.Index(fields=["remind_at"], name="glass_overdue", condition=Q(signed_at=None)),  # the sweep
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(signed_at=None, signed_by=None, signed_by_label="", verdict="", note="")
                | (
                    Q(signed_at__isnull=False, verdict__in=["justified", "unjustified"])
                    & ~Q(signed_by_label="")
                    & ~Q(note="")
                ),
                name="glass_signed",
            ),
            models.CheckConstraint(condition=~Q(reason="") & Q(assurance=STEPUP), name="glass_reason_and_factor"),
        ]

    def __str__(self) -> str:
        return f"{self.user_label}: {self.reason[:60]}"

    @property
    def glass_id(self) -> str:
        return show_id("brk", self.id)


class Comment(models.Model):
    """What people say to each other about an approval, what they ask its agent, and what it answers.

    `approvals.comments` writes what people say, `approvals.thread` what agents do. No one else, and nothing changes it.
    """

    KINDS = [("comment", "Comment"), ("question", "Question to the agent"), ("answer", "Answer of the agent")]

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    approval = models.ForeignKey(Approval, models.CASCADE, related_name="comments")
    user = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    key_id = models.UUIDField(null=True, help_text="The credential, where the agent wrote it.")
    author = models.CharField(max_length=254, help_text="Their address, or the agent's slug, as it was.")
    kind = models.CharField(max_length=8, choices=KINDS)
    text = models.TextField()
    mentions = ArrayField(models.UUIDField(), default=list, help_text="Members who were told.")
    evidence = models.TextField(blank=True, help_text="A text file that came with it.")
    evidence_name = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="answer", user=None, key_id__isnull=False)
                | Q(kind__in=["comment", "question"], user__isnull=False, key_id=None),
                name="comment_author",
            ),
            models.CheckConstraint(
                condition=Q(evidence="", evidence_name="") | (~Q(evidence="") & ~Q(evidence_name="")),
                name="comment_evidence",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:60]}"

    @property
    def comment_id(self) -> str:
        return show_id("cmt", self.id)


from approvals.calls.models import ToolCall as ToolCall  # noqa: E402 - a model, which Django looks for here
