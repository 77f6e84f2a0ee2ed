"""Alert rules, and when they fired."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Organization
from audit.ids import new_id
from notifications.models.channel import Channel


class AlertRule(models.Model):
    """A measure, a threshold, a window. `measure` is registered by the room that knows it."""

    class Severity(models.TextChoices):
        INFO = "info", "Information"
        WARNING = "warning", "Warning"
        CRITICAL = "critical", "Critical"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="alert_rules")
    mode = models.CharField(max_length=4, choices=[("live", "Live"), ("test", "Test")], default="live")
    name = models.CharField(max_length=80)
    measure = models.CharField(max_length=40)
    threshold = models.FloatField(help_text="Fires above it.")
    window_minutes = models.PositiveIntegerField(default=15)
    severity = models.CharField(max_length=8, choices=Severity, default=Severity.WARNING)
    channels = models.ManyToManyField(Channel, blank=True, related_name="alert_rules", help_text="Empty: the admins.")
    is_active = models.BooleanField(default=True)
    muted_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["organization", "mode", "name"], name="alert_rule_unique")]

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """One time that a rule fired: once, until it resolved."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="alerts")
    fired_at = models.DateTimeField(db_default=Now())
    value = models.FloatField()
    worst = models.FloatField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(
        null=True, blank=True, help_text="When its firing was announced; empty while its rule is muted."
    )

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["rule", "-id"], name="alert_page")]
        constraints = [models.UniqueConstraint(fields=["rule"], condition=Q(resolved_at=None), name="alert_fires_once")]

    def __str__(self) -> str:
        return f"{self.rule} at {self.fired_at}"
