"""Where an organization's record flows to: a SIEM, by syslog or webhook, and how far it is there."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Organization, User
from audit.ids import new_id

KINDS = [("syslog_tls", "Syslog over TLS"), ("syslog_tcp", "Syslog over TCP"), ("webhook", "Webhook")]
FORMATS = [("json", "JSON Lines"), ("ocsf", "OCSF")]


class Stream(models.Model):
    """One receiver. A live stream carries the live log and that of the organization as a whole; a test one, its own.

    What the worker says of itself (`error` and what is beside it) is written by nobody else.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="streams")
    mode = models.CharField(max_length=4, choices=[("live", "Live"), ("test", "Test")], default="live")
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=12, choices=KINDS)
    address = models.CharField(max_length=2_048, help_text="host:port, or a URL.")
    format = models.CharField(max_length=8, choices=FORMATS, default="json")
    payloads = models.BooleanField(default=False, help_text="Whether what agents and people wrote goes along.")
    authority = models.TextField(
        blank=True, help_text="PEM: who vouches for the receiver; empty: whom this system trusts."
    )
    certificate = models.TextField(blank=True, help_text="PEM: what Warden shows the receiver.")
    secret = models.TextField(
        blank=True, help_text="Sealed (notifications.vault): a webhook's, or the certificate's key."
    )
    revision = models.PositiveIntegerField(default=0, help_text="Counts what people change: the worker begins anew.")
    paused_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0, help_text="Failed in a row.")
    retry_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "mode", "name"], name="stream_name_unique"),
            models.CheckConstraint(
                condition=Q(failing_since=None, error="") | (Q(failing_since__isnull=False) & ~Q(error="")),
                name="stream_failing",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scopes(self) -> list[str]:
        """The modes of the logs that it carries."""
        return ["live", ""] if self.mode == "live" else ["test"]

    @property
    def is_syslog(self) -> bool:
        return self.kind != "webhook"


class Position(models.Model):
    """How far a stream is in one log: the receiver has taken everything before `next_index`.

    `settled_index` is behind it: what the receiver took lately is sent again when its connection breaks.
    """

    stream = models.ForeignKey(Stream, models.CASCADE, related_name="positions")
    scope = models.CharField(
        max_length=4, blank=True, help_text="live, test or, of the organization as a whole, empty."
    )
    next_index = models.BigIntegerField(default=0)
    settled_index = models.BigIntegerField(default=0)
    taken_at = models.DateTimeField(null=True, blank=True, help_text="When the receiver last took some.")

    class Meta:
        ordering = ["-scope"]
        constraints = [
            models.UniqueConstraint(fields=["stream", "scope"], name="stream_position_once"),
            models.CheckConstraint(
                condition=Q(settled_index__gte=0, next_index__gte=models.F("settled_index")), name="stream_position"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stream_id} {self.scope} {self.next_index}"
