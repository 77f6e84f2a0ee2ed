"""The outbox: what is owed to whom. A row is written in the transaction of what it announces."""

from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization
from audit.ids import new_id


class Delivery(models.Model):
    """One message to one address. Celery sends it; the sweep finds what Celery was not told of or lost."""

    class State(models.TextChoices):
        DUE = "due", "Waiting"
        SENT = "sent", "Sent"
        FAILED = "failed", "Given up"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="deliveries")
    mode = models.CharField(max_length=4)
    transport = models.CharField(max_length=8, choices=[("email", "E-mail")])
    address = models.CharField(max_length=254)
    event = models.CharField(max_length=40, help_text="Such as approval.requested.")
    target = models.CharField(max_length=64, help_text="What it is about, such as apr_01J….")
    subject = models.CharField(max_length=200)
    text = models.TextField()
    state = models.CharField(max_length=6, choices=State, default=State.DUE)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    leased_until = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["due_at"], name="delivery_due", condition=models.Q(state="due")),  # the sweep
            models.Index(fields=["organization", "mode", "-id"], name="delivery_page"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state="sent", sent_at__isnull=False)
                | (~models.Q(state="sent") & models.Q(sent_at=None)),
                name="delivery_sent_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.address}"
