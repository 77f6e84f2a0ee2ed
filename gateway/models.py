"""What the door remembers between requests."""

from django.db import models
from django.db.models.functions import Now


class Idempotency(models.Model):
    """One key, one body, one answer (I4). Kept seven days."""

    scope = models.CharField(max_length=160, help_text="endpoint:organization:mode:agent")
    key = models.CharField(max_length=200)
    body_hash = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField()
    answer = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "idempotency keys"
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="idempotency_once")]
        indexes = [models.Index("created_at", name="idempotency_age")]  # the hourly clean-up

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"


class RateWindow(models.Model):
    """Requests of one key in one minute: used while Redis cannot be reached."""

    key_id = models.UUIDField()
    minute = models.BigIntegerField()
    count = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key_id", "minute"], name="rate_window_once")]

    def __str__(self) -> str:
        return f"{self.key_id} at {self.minute}"
