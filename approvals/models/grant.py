"""More of the same kind, allowed with an approval."""

import json
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import models
from django.db.models import F, Q

from accounts.models import Organization, User
from agents.models import Agent
from approvals.models.approval import Approval
from audit.ids import new_id, show_id


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
        spent = self.uses >= self.max_uses or (self.total is not None and self.used >= self.total)
        return "used" if spent else "active"
