"""The record. A row, once written, never changes: the database itself refuses (see migration 0002)."""

from django.db import models

from audit.ids import new_id, show_id
from audit.leaf import read_body


class Event(models.Model):
    """One thing that happened, as canonical JSON (`body`) with its leaf hash; the other columns are there to search.

    No foreign keys: the record outlives what it speaks of.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    at = models.DateTimeField(help_text="The database's clock.")
    organization_id = models.UUIDField()
    mode = models.CharField(max_length=4)
    kind = models.CharField(max_length=64, help_text="source:subject:action, such as agent:check:allow")
    result = models.CharField(max_length=32, blank=True)
    actor_type = models.CharField(max_length=8)
    actor_id = models.CharField(max_length=64, blank=True)
    actor = models.CharField(max_length=254, blank=True, help_text="E-mail or slug at the time.")
    agent = models.CharField(max_length=64, blank=True, help_text="The agent's slug at the time.")
    action = models.CharField(max_length=200, blank=True)
    target = models.CharField(max_length=64, blank=True, help_text="Identifier with its prefix, such as apr_01J…")
    body = models.TextField(help_text="RFC 8785 canonical JSON: what the leaf commits to.")
    leaf = models.BinaryField(max_length=32, help_text="RFC 6962, 2.1: SHA-256(0x00 || body).")

    class Meta:
        indexes = [
            # The audit page and /api/logs, newest first; then the same filtered by agent, action, target and person.
            models.Index(fields=["organization_id", "mode", "-id"], name="event_page"),
            models.Index(
                fields=["organization_id", "mode", "agent", "-id"], name="event_agent", condition=~models.Q(agent="")
            ),
            models.Index(
                fields=["organization_id", "mode", "action", "-id"], name="event_action", condition=~models.Q(action="")
            ),
            models.Index(
                fields=["organization_id", "target", "-id"], name="event_target", condition=~models.Q(target="")
            ),
            models.Index(
                fields=["organization_id", "actor", "-id"], name="event_person", condition=models.Q(actor_type="person")
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(mode__in=["live", "test"]), name="event_mode"),
            models.CheckConstraint(
                condition=models.Q(actor_type__in=["agent", "person", "system"]), name="event_actor_type"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"

    @property
    def event_id(self) -> str:
        return show_id("evt", self.id)

    @property
    def data(self) -> dict[str, object]:
        """What the event says beyond its columns."""
        return read_body(self.body).get("data", {})
