"""A call of a tool, as an AAP client sent it, and what became of it."""

from django.db import models
from django.db.models import Q

from accounts.models import Organization


class ToolCall(models.Model):
    """One request of an AAP client. Where a person was asked, the approval has the same id, and the state.

    `approvals.calls.intake` writes it. `arguments` and `context` are the JSON as it was sent, byte for byte: clients
    compare it.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="tool_calls")
    key_id = models.UUIDField(help_text="The credential of the instance that asked; it alone sees this.")
    idempotency_key = models.CharField(max_length=200)
    body_hash = models.BinaryField(max_length=32)
    call_hash = models.CharField(max_length=64, help_text="Of what is asked, whoever asks again: for the cool-down.")
    action = models.CharField(max_length=200)
    tool = models.CharField(max_length=200)
    server = models.CharField(max_length=200, null=True)
    arguments = models.TextField()
    timeout = models.CharField(max_length=20)
    reasoning = models.TextField(null=True)
    context = models.TextField(null=True)
    created_at = models.DateTimeField()
    deadline_at = models.DateTimeField()

    status = models.CharField(max_length=8, blank=True, help_text="Empty: the approval's.")
    note = models.TextField(blank=True)
    decided_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, help_text="Until when what was approved at once may begin.")
    grant_id = models.UUIDField(null=True, help_text="The grant that allowed it.")

    consumed_at = models.DateTimeField(null=True)
    consume_key = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=9, blank=True)
    outcome_note = models.TextField(null=True)
    reported_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key_id", "idempotency_key"], name="tool_call_once"),
            models.CheckConstraint(
                condition=Q(status="", decided_at=None, expires_at=None)
                | Q(status="approved", decided_at__isnull=False, expires_at__isnull=False)
                | Q(status="denied", decided_at__isnull=False, expires_at=None, consumed_at=None),
                name="tool_call_decision",
            ),
            models.CheckConstraint(
                condition=Q(consumed_at=None, consume_key="") | (Q(consumed_at__isnull=False) & ~Q(consume_key="")),
                name="tool_call_consumed",
            ),
            models.CheckConstraint(
                condition=Q(outcome="", reported_at=None, outcome_note=None)
                | Q(outcome__in=["succeeded", "failed"], reported_at__isnull=False, consumed_at__isnull=False),
                name="tool_call_outcome",
            ),
        ]
        indexes = [
            models.Index(fields=["call_hash", "-id"], name="tool_call_again"),  # the cool-down
            models.Index(fields=["created_at"], name="tool_call_age"),  # the hourly clean-up
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.id}"
