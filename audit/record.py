"""Writes events from Django: `record(…)` inside the transaction of what it records."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection

from audit.clock import database_now
from audit.leaf import Actor, Entry, Scope, row
from audit.metrics import recorded
from audit.models import Event


def record(
    *,
    kind: str,
    organization_id: uuid.UUID,
    actor: Actor,
    mode: Scope = "",
    agent: str = "",
    action: str = "",
    target: str = "",
    result: str = "",
    data: dict[str, Any] | None = None,
) -> Event:
    """Writes one event. Must run in a transaction: the event and what it records commit together, or not at all.

    `mode` is empty for what concerns the organization as a whole (people, agents, permissions, settings).
    Raises RuntimeError outside a transaction, ValueError where `data` is not JSON.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("record() outside a transaction: the event could outlive, or miss, what it records")
    entry = Entry(
        kind=kind,
        organization_id=organization_id,
        mode=mode,
        actor=actor,
        agent=agent,
        action=action,
        target=target,
        result=result,
        data=data or {},
    )
    recorded(1)
    return Event.objects.create(**row(entry, database_now())._asdict())


def record_all(entries: Iterable[Entry], *, at: datetime) -> None:
    """Writes events that happened at `at`, the database's clock, in one statement. As record(): in a transaction."""
    if not connection.in_atomic_block:
        raise RuntimeError("record_all() outside a transaction: the events could outlive, or miss, what they record")
    recorded(len(Event.objects.bulk_create(Event(**row(entry, at)._asdict()) for entry in entries)))
