"""An event's canonical body and its leaf hash: pure, shared by Django's services and the gateway."""

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from audit.canonical import canonical, read_canonical
from audit.ids import new_id, show_id

Mode = Literal["live", "test"]
Scope = Literal["live", "test", ""]  # empty: it concerns the organization as a whole, in both modes
VERSION = 1


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: an agent (by its key), a person, or Warden itself."""

    type: Literal["agent", "person", "system"]
    id: str = ""
    label: str = ""


SYSTEM = Actor("system", "", "Warden")


@dataclass(slots=True)
class Entry:
    """What is to be recorded. `data` must be JSON data."""

    kind: str
    organization_id: uuid.UUID
    mode: Scope
    actor: Actor
    agent: str = ""
    action: str = ""
    target: str = ""
    result: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    id: uuid.UUID = field(default_factory=new_id)


class Row(NamedTuple):
    """One row of audit_event, in the order of COLUMNS."""

    id: uuid.UUID
    at: datetime
    organization_id: uuid.UUID
    mode: str
    kind: str
    result: str
    actor_type: str
    actor_id: str
    actor: str
    agent: str
    action: str
    target: str
    body: str
    leaf: bytes


COLUMNS = Row._fields


@lru_cache(maxsize=1_024)
def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds: 2026-01-02T03:04:05.000006Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def leaf_hash(body: str) -> bytes:
    """RFC 6962, section 2.1: SHA-256(0x00 || body)."""
    return hashlib.sha256(b"\x00" + body.encode()).digest()


def row(entry: Entry, at: datetime) -> Row:
    """The row that records `entry` at `at` (the database's clock). Raises ValueError where data is not JSON."""
    actor = entry.actor
    body = canonical(
        {
            "v": VERSION,
            "id": show_id("evt", entry.id),
            "at": timestamp(at),
            "organization": str(entry.organization_id),
            "mode": entry.mode,
            "kind": entry.kind,
            "result": entry.result,
            "actor": {"type": actor.type, "id": actor.id, "label": actor.label},
            "agent": entry.agent,
            "action": entry.action,
            "target": entry.target,
            "data": entry.data,
        }
    )
    return Row(
        entry.id,
        at,
        entry.organization_id,
        entry.mode,
        entry.kind,
        entry.result,
        actor.type,
        actor.id,
        actor.label,
        entry.agent,
        entry.action,
        entry.target,
        body,
        leaf_hash(body),
    )


def read_body(body: str) -> dict[str, Any]:
    """The JSON object that `body` holds."""
    value: dict[str, Any] = read_canonical(body)
    return value
