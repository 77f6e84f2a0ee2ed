"""What /api answers of the record and its proofs, and how each is made of a row."""

from datetime import UTC
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from audit.ids import show_id
from audit.models import Event as Recorded
from warden.api.answers import Moment
from warden.api.bodies import LogName


class Log(Struct):
    """What an agent said came of an action."""

    id: str
    agent_id: str
    organization_id: str
    action: str
    status: str
    context: dict[str, Any] | None
    created_at: Moment
    approval_id: str | None
    decision_id: str | None
    ip_address: str | None


class Event(Struct):
    """One event of the record. `leaf` is SHA-256 of a zero byte and the canonical JSON of `event`."""

    id: str
    leaf: str
    event: msgspec.Raw


class Checkpoint(Struct):
    """A signed statement of a log's size and root; `note` is it as c2sp.org/tlog-checkpoint has it."""

    size: int
    root: str
    created_at: Moment
    note: str


class RecordLog(Struct):
    mode: LogName
    origin: str
    checkpoint: Checkpoint
    lag_seconds: Annotated[float, Meta(description="Age of the organization's oldest event that is in no log yet.")]


class RecordKey(Struct):
    verifier_key: Annotated[str, Meta(description="As warden-verify and verify_receipt take it.")]
    jwk: Annotated[dict[str, str], Meta(description="As JOSE libraries take it (RFC 8037).")]
    since: Moment
    certificate: Annotated[str, Meta(description="The word of the key before it, a signed note; empty: there is none.")]


class Proof(Struct):
    """That an event is in its log: `hashes` lead from its leaf to the checkpoint's root. In base64."""

    origin: str
    index: int
    leaf: str
    hashes: list[str]
    checkpoint: Checkpoint
    file: str


class Consistency(Struct):
    """That the log of size `new` begins with the log of size `old`. `hashes` are in base64."""

    origin: str
    old: int
    new: int
    hashes: list[str]


def log(row: Recorded) -> Log:
    data = row.data
    return Log(
        id=show_id("log", row.id),
        agent_id=row.agent,
        organization_id=str(row.organization_id),
        action=row.action,
        status=row.result,
        context=data.get("context"),
        created_at=row.at.astimezone(UTC),
        approval_id=row.target if row.target.startswith("apr_") else None,
        decision_id=row.target if row.target.startswith("dec_") else None,
        ip_address=data.get("ip_address"),
    )


def event(row: Recorded) -> Event:
    return Event(row.event_id, bytes(row.leaf).hex(), msgspec.Raw(row.body.encode()))
