"""How far checkpoints are published, to each place that the environment names."""

from django.db import models
from django.db.models import Q

from audit.log import Log

WAYS = [("folder", "Folder"), ("webhook", "Webhook"), ("timestamp", "Time-stamp")]


class Publication(models.Model):
    """One log in one place. `due_at` is when it is tried next, and while somebody tries, when their claim ends."""

    log = models.ForeignKey(Log, models.CASCADE, related_name="publications", db_constraint=False)
    way = models.CharField(max_length=12, choices=WAYS)
    size = models.BigIntegerField(default=0, help_text="Of the checkpoint that was published last.")
    published_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0, help_text="Failed in a row.")
    error = models.CharField(max_length=500, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["log", "way"]
        constraints = [
            models.UniqueConstraint(fields=["log", "way"], name="publication_once"),
            models.CheckConstraint(
                condition=Q(failing_since=None, error="") | (Q(failing_since__isnull=False) & ~Q(error="")),
                name="publication_failing",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.log_id} {self.way} {self.size}"


class TimeStamp(models.Model):
    """What an authority of time (RFC 3161) said of a checkpoint: that it was there at `at`, by its own clock.

    It proves itself, to whoever trusts the authority; so it is no part of the record, and who serves may write it.
    """

    log = models.ForeignKey(Log, models.CASCADE, related_name="timestamps", db_constraint=False, db_index=False)
    size = models.BigIntegerField(help_text="Of the checkpoint.")
    at = models.DateTimeField()
    response = models.BinaryField(help_text="TimeStampResp, DER: over the bytes of the checkpoint's note.")

    class Meta:
        ordering = ["-size"]
        constraints = [models.UniqueConstraint(fields=["log", "size"], name="timestamp_once")]

    def __str__(self) -> str:
        return f"{self.log_id} {self.size} at {self.at}"
