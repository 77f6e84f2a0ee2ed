"""The outbox: what happened and has to be told (Announcement), and what is owed to whom (Delivery)."""

from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization
from agents.models import Instance
from audit.ids import new_id
from notifications.models.channel import TRANSPORTS, Channel

WAYS = [*TRANSPORTS, ("aap", "AAP receiver")]  # a receiver is no channel: it belongs to an instance of an agent


class Announcement(models.Model):
    """Something happened that people may have to hear of: one row, in the transaction of what it announces.

    A worker turns it into deliveries, in one transaction with `fanned_out_at`: who must hear is worked out off the hot
    path, and nothing is owed twice or never.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="announcements")
    mode = models.CharField(max_length=4)
    event = models.CharField(max_length=40, help_text="Such as approval.requested.")
    target = models.CharField(max_length=64, help_text="What it is about, such as apr_01J….")
    created_at = models.DateTimeField(db_default=Now())
    fanned_out_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["id"], name="announcement_due", condition=models.Q(fanned_out_at=None))]

    def __str__(self) -> str:
        return f"{self.event} {self.target}"


class Delivery(models.Model):
    """One message to one address. Celery sends it; the sweep finds what Celery was not told of or lost."""

    class State(models.TextChoices):
        DUE = "due", "Waiting"
        SENT = "sent", "Sent"
        FAILED = "failed", "Given up"
        MOOT = "moot", "Not needed any more"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="deliveries")
    mode = models.CharField(max_length=4)
    transport = models.CharField(max_length=8, choices=WAYS)
    channel = models.ForeignKey(
        Channel, models.SET_NULL, null=True, blank=True, related_name="deliveries", help_text="Empty: to a person."
    )
    instance = models.ForeignKey(
        Instance, models.SET_NULL, null=True, blank=True, related_name="deliveries", help_text="Of an AAP client."
    )
    until = models.DateTimeField(
        null=True, blank=True, help_text="Tried until then, however often; empty: a number of times."
    )
    address = models.CharField(max_length=2_048, help_text="As it was: an e-mail address, a Slack channel, a URL.")
    event = models.CharField(max_length=40, help_text="Such as approval.requested.")
    announcement = models.ForeignKey(Announcement, models.CASCADE, related_name="deliveries")
    subject = models.CharField(max_length=200, blank=True)
    text = models.TextField(blank=True, help_text="What is sent: a mail's text, a webhook's exact body.")
    html = models.TextField(blank=True, help_text="A mail's other half.")
    state = models.CharField(max_length=6, choices=State, default=State.DUE)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    is_first = models.BooleanField(
        db_default=True, help_text="Of its announcement: sent before those that only tell more people of the same."
    )
    leased_until = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["due_at"], name="delivery_due", condition=models.Q(state="due")),  # the sweep
            models.Index(fields=["due_at"], name="delivery_first", condition=models.Q(state="due", is_first=True)),
            models.Index(fields=["organization", "mode", "-id"], name="delivery_page"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state="sent", sent_at__isnull=False)
                | (~models.Q(state="sent") & models.Q(sent_at=None)),
                name="delivery_sent_at",
            ),
            models.UniqueConstraint(
                fields=["announcement", "transport", "address", "channel"],
                name="delivery_once",
                nulls_distinct=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.address}"


class Attempt(models.Model):
    """One try to hand a delivery over, and what was answered: the delivery log."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="attempts_made")
    at = models.DateTimeField(db_default=Now())
    milliseconds = models.PositiveIntegerField()
    succeeded = models.BooleanField()
    answer = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.delivery} at {self.at}"
