"""The record. A row, once written, never changes: the database itself refuses (see migration 0002).

Its table is parted by month (migration 0004), so its primary key there is (id, at), and has one more column: `written`,
the transaction that wrote the row.
"""

from typing import Any

from django.db import models
from django.db.models import Q

from audit.ids import new_id, show_id
from audit.leaf import read_body
from audit.log import Checkpoint, Leaf, Log, Receipt, Sequencer, SigningKey, Tile, Verification  # noqa: F401 - Django looks here
from audit.sentences import Part, icon, tell
from audit.subjects import SubjectKey  # noqa: F401 - Django looks here

# The kinds that make up most rows by far. A search for one of these fills its page soon from `event_page`; every other
# kind is found by `event_kind`, which therefore costs the hot path nothing.
FREQUENT_KINDS = ["agent:check:allow", "agent:action:log"]
FREQUENT_RESULTS = ["", "allow", "success"]


class Event(models.Model):
    """One thing that happened, as canonical JSON (`body`) with its leaf hash; the other columns are there to search.

    No foreign keys: the record outlives what it speaks of. Columns that are searched compare by bytes (collation C).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    at = models.DateTimeField(help_text="The database's clock.")
    organization_id = models.UUIDField()
    mode = models.CharField(
        max_length=4, blank=True, help_text="live or test; empty: it concerns the organization as a whole."
    )
    kind = models.CharField(
        max_length=64, db_collation="C", help_text="source:subject:action, such as agent:check:allow"
    )
    result = models.CharField(max_length=32, blank=True, db_collation="C")
    actor_type = models.CharField(max_length=8)
    actor_id = models.CharField(max_length=64, blank=True)
    actor = models.CharField(max_length=254, blank=True, db_collation="C", help_text="E-mail or slug at the time.")
    agent = models.CharField(max_length=64, blank=True, db_collation="C", help_text="The agent's slug at the time.")
    action = models.CharField(max_length=200, blank=True, db_collation="C")
    target = models.CharField(
        max_length=64, blank=True, db_collation="C", help_text="Identifier with its prefix, such as apr_01J…"
    )
    body = models.TextField(help_text="RFC 8785 canonical JSON: what the leaf commits to.")
    leaf = models.BinaryField(max_length=32, help_text="RFC 6962, 2.1: SHA-256(0x00 || body).")

    class Meta:
        indexes = [
            # The audit page and /api/logs, newest first; then by agent, action, target, person, kind and result.
            models.Index(fields=["organization_id", "mode", "-at", "-id"], name="event_page"),
            models.Index(
                fields=["organization_id", "mode", "agent", "-at", "-id"], name="event_agent", condition=~Q(agent="")
            ),
            models.Index(
                fields=["organization_id", "mode", "action", "-at", "-id"], name="event_action", condition=~Q(action="")
            ),
            models.Index(
                fields=["organization_id", "target", "-at", "-id"], name="event_target", condition=~Q(target="")
            ),
            models.Index(
                fields=["organization_id", "mode", "actor", "-at", "-id"],
                name="event_actor",
                condition=~Q(actor_type="agent"),
            ),
            models.Index(
                fields=["organization_id", "mode", "kind", "-at", "-id"],
                name="event_kind",
                condition=~Q(kind__in=FREQUENT_KINDS),
            ),
            models.Index(
                fields=["organization_id", "mode", "result", "-at", "-id"],
                name="event_result",
                condition=~Q(result__in=FREQUENT_RESULTS),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(mode__in=["live", "test", ""]), name="event_mode"),
            models.CheckConstraint(condition=Q(actor_type__in=["agent", "person", "system"]), name="event_actor_type"),
        ]

    proved_at: int | None = None  # see audit.proofs.mark

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"

    @property
    def event_id(self) -> str:
        return show_id("evt", self.id)

    @property
    def sentence(self) -> list[Part]:
        """What happened, in words. Of a long event read in a list, what only its body says is left out."""
        return tell(self, self.brief_data)

    @property
    def icon(self) -> str:
        return icon(self.kind)

    @property
    def data(self) -> dict[str, Any]:
        """What the event says beyond its columns."""
        return _data(self.body)

    @property
    def brief_data(self) -> dict[str, Any]:
        """The same of an event read in a list: empty where its body is long, and therefore was not read."""
        return _data(getattr(self, "brief", None) or self._body_if_read)

    @property
    def _body_if_read(self) -> str:
        return "" if "body" in self.get_deferred_fields() else self.body


def _data(body: str) -> dict[str, Any]:
    """Empty where the body was tampered with so that it says nothing: audit.check tells of that."""
    try:
        data = read_body(body).get("data") if body else None
    except (ValueError, RecursionError, AttributeError):
        return {}
    return data if isinstance(data, dict) else {}
