"""Where an organization wants to hear of things, and of which."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from accounts.models import Organization, User
from audit.ids import new_id

TRANSPORTS = [("email", "E-mail"), ("slack", "Slack"), ("webhook", "Webhook")]


class Channel(models.Model):
    """An address with a filter. An empty filter lets everything through; live and test are apart."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="channels")
    mode = models.CharField(max_length=4, choices=[("live", "Live"), ("test", "Test")], default="live")
    transport = models.CharField(max_length=8, choices=TRANSPORTS)
    name = models.CharField(max_length=80)
    address = models.CharField(max_length=2_048, help_text="E-mail address, Slack channel, or URL.")
    secret = models.TextField(blank=True, help_text="Sealed (notifications.vault): a webhook's signing secret.")
    events = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    agents = ArrayField(models.UUIDField(), default=list, blank=True)
    teams = ArrayField(models.UUIDField(), default=list, blank=True, help_text="Teams that own the agent.")
    risks = ArrayField(models.CharField(max_length=8), default=list, blank=True)
    environments = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    is_active = models.BooleanField(default=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_because = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "mode", "name"], name="channel_name_unique"),
            models.CheckConstraint(
                condition=models.Q(is_active=True, disabled_at=None)
                | models.Q(is_active=False, disabled_at__isnull=False),
                name="channel_disabled_at",
            ),
        ]

    def __str__(self) -> str:
        return self.name
