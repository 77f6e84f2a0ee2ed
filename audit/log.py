"""The logs: the record put in order, one log for each organization and mode, signed. Only audit.sequencer writes them.

Events that concern an organization as a whole (mode '') have a log of their own. The leaves of a log are the events in
the order in which they were sequenced; a reader goes on from the last index it has seen:

    Leaf.objects.filter(log=log, index__gte=next_index).order_by("index")
"""

import uuid

from django.db import models
from django.db.models import Q

from audit.ids import show_id


class Log(models.Model):
    """One log. Its origin names it in checkpoints and never changes."""

    organization_id = models.UUIDField()
    mode = models.CharField(max_length=4, blank=True, help_text="live, test or, of the organization as a whole, empty.")
    origin = models.CharField(max_length=200, unique=True, help_text="C2SP: a URL without a scheme.")
    first = models.BigIntegerField(
        default=0, db_default=0, help_text="Events before this index were deleted when their time was over."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization_id", "mode"], name="log_once"),
            models.CheckConstraint(condition=Q(mode__in=["live", "test", ""]), name="log_mode"),
        ]

    def __str__(self) -> str:
        return self.origin


class Leaf(models.Model):
    """Where in its log an event is. `at` is the event's, and says in which partition it is."""

    event_id = models.UUIDField(primary_key=True)
    log = models.ForeignKey(Log, models.PROTECT, related_name="leaves", db_constraint=False, db_index=False)
    index = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["log", "index"], name="leaf_order")]

    def __str__(self) -> str:
        return f"{self.log_id}/{self.index} {show_id('evt', self.event_id)}"


class Tile(models.Model):
    """At most 256 hashes of a tree; see audit.merkle."""

    pk = models.CompositePrimaryKey("log_id", "level", "number")
    log = models.ForeignKey(Log, models.PROTECT, related_name="tiles", db_constraint=False, db_index=False)
    level = models.SmallIntegerField()
    number = models.BigIntegerField()
    hashes = models.BinaryField(max_length=8_192)

    def __str__(self) -> str:
        return f"{self.log_id}/{self.level}/{self.number}"


class SigningKey(models.Model):
    """The public half of a key that signs or signed, in their order."""

    public = models.BinaryField(max_length=32, unique=True)
    at = models.DateTimeField(help_text="Since when it signs.")
    certificate = models.TextField(
        blank=True, help_text="Signed note by the key before it; empty: the first, or the one before was lost."
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return bytes(self.public).hex()


class Checkpoint(models.Model):
    """A signed statement of a log's size and root."""

    pk = models.CompositePrimaryKey("log_id", "size")
    log = models.ForeignKey(Log, models.PROTECT, related_name="checkpoints", db_constraint=False, db_index=False)
    size = models.BigIntegerField()
    root = models.BinaryField(max_length=32)
    at = models.DateTimeField()
    key = models.ForeignKey(SigningKey, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    note = models.TextField(help_text="c2sp.org/tlog-checkpoint")

    def __str__(self) -> str:
        return f"{self.log_id} {self.size}"


class Verification(models.Model):
    """One time that a log was read again from its first event to its last checkpoint, and what came of it."""

    log = models.ForeignKey(Log, models.PROTECT, related_name="verifications")
    at = models.DateTimeField()
    size = models.BigIntegerField(help_text="Of the checkpoint it was held against.")
    index = models.BigIntegerField(null=True, help_text="The first that is wrong, where one can be named.")
    problem = models.TextField(blank=True, help_text="Empty: everything holds.")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.problem or "holds"


class Receipt(models.Model):
    """What the sequencer signed of one claim."""

    event_id = models.UUIDField(primary_key=True)
    target = models.CharField(max_length=64, db_collation="C", help_text="apr_…")
    at = models.DateTimeField()
    token = models.TextField(help_text="JWS")

    class Meta:
        indexes = [models.Index(fields=["target"], name="receipt_target")]

    def __str__(self) -> str:
        return self.target


class Sequencer(models.Model):
    """How far the sequencer is, and how it is. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    cluster = models.BigIntegerField(
        default=0, db_default=0, help_text="System identifier of the PostgreSQL whose transactions `xid` counts."
    )
    xid = models.BigIntegerField(default=0, db_default=0, help_text="Events written before it are sequenced.")
    event_id = models.UUIDField(
        default=uuid.UUID(int=0), db_default=uuid.UUID(int=0), help_text="Of those written by it, up to this."
    )
    beat_at = models.DateTimeField(null=True, help_text="When it last said that it is there.")
    waiting_since = models.DateTimeField(
        null=True, help_text="As of then: the time of the first event that had no index yet."
    )
    refusal = models.TextField(blank=True, db_default="", help_text="Why it does not go on; empty: it does.")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="sequencer_once")]

    def __str__(self) -> str:
        return self.refusal or "well"
