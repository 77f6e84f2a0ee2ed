"""What was allowed outside its rule."""

from django.db import models
from django.db.models import Q

from accounts.models import Organization, User
from agents.assurance import LEVELS, STEPUP
from approvals.models.approval import Approval
from audit.ids import new_id, show_id


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
