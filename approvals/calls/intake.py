"""Calls in a transaction of the gateway's writer: kept, found again, consumed. Raw SQL, as in approvals.intake."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from approvals import states
from audit.ids import new_id

Connection = AsyncConnection[Any]
RESOLVED = "aap.resolved"  # the news of a call that was decided without a person


@dataclass(slots=True)
class Call:
    """A row of approvals_toolcall, with what its approval says, where a person was asked."""

    id: uuid.UUID
    organization_id: uuid.UUID
    key_id: uuid.UUID
    idempotency_key: str
    body_hash: bytes
    call_hash: str
    action: str
    tool: str
    server: str | None
    arguments: str
    timeout: str
    reasoning: str | None
    context: str | None
    created_at: datetime
    deadline_at: datetime
    status: str = ""
    note: str = ""
    decided_at: datetime | None = None
    expires_at: datetime | None = None
    grant_id: uuid.UUID | None = None
    consumed_at: datetime | None = None
    consume_key: str = ""
    outcome: str = ""
    outcome_note: str | None = None
    reported_at: datetime | None = None
    asked_state: str | None = None
    asked_at: datetime | None = None
    asked_reason: str | None = None
    asked_code: str | None = None
    asked_by: str | None = None
    claim_until: datetime | None = None
    deadline: datetime | None = None
    edited: bool = False

    def state(self, now: datetime) -> str:
        """Where it stands. One that a person was asked about is expired by its deadline, swept or not."""
        if self.status:
            return self.status
        if self.asked_state is None or self.edited:
            return states.DENIED  # nothing that could be explained: never an approval
        overdue = self.deadline is not None and self.deadline <= now
        return states.EXPIRED if self.asked_state == states.PENDING and overdue else self.asked_state

    @property
    def ended_at(self) -> datetime:
        """When it was decided. What expired did so by its deadline, whenever the sweep came by."""
        if self.decided_at:
            return self.decided_at
        if self.asked_state in (states.PENDING, states.EXPIRED) and self.deadline:
            return self.deadline
        return self.asked_at or self.created_at


OWN = list(Call.__dataclass_fields__)[:25]  # the columns of the call itself
SELECT = (
    f"SELECT {', '.join(f'c.{name}' for name in OWN)}, a.state AS asked_state, a.decided_at AS asked_at,"  # noqa: S608
    " a.reason AS asked_reason, a.code AS asked_code, a.decided_by_label AS asked_by, a.claim_until,"
    " a.expires_at AS deadline, a.asked IS NOT NULL AS edited"
    " FROM approvals_toolcall c LEFT JOIN approvals_approval a ON a.id = c.id AND a.by_aap"
)
KEEP = (
    "INSERT INTO approvals_toolcall (id, organization_id, key_id, idempotency_key, body_hash, call_hash, action, tool,"
    " server, arguments, timeout, reasoning, context, created_at, deadline_at, status, note, consume_key, outcome)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '', '', '', '') ON CONFLICT DO NOTHING"
)


async def keep(connection: Connection, call: Call) -> bool:
    """Keeps a new call; False where its idempotency key was used already."""
    values = [getattr(call, name) for name in OWN[:15]]
    return (await connection.execute(KEEP, values)).rowcount == 1


async def decide(connection: Connection, call_id: uuid.UUID, **columns: Any) -> None:
    """What became of it at once, without a person; owed to its instance's receiver, where it has one."""
    names = ", ".join(f"{name} = %({name})s" for name in columns)
    done = await connection.execute(
        f"UPDATE approvals_toolcall SET {names} WHERE id = %(id)s AND status = ''",  # noqa: S608
        {**columns, "id": call_id},
    )
    if done.rowcount != 1:
        raise RuntimeError(f"the call {call_id} is decided already")
    await connection.execute(
        "INSERT INTO notifications_announcement (id, organization_id, mode, event, target)"
        " SELECT %s, c.organization_id, k.mode, %s, c.id::text FROM approvals_toolcall c"
        " JOIN agents_instance i ON i.key_id = c.key_id AND i.delivery_since IS NOT NULL"
        " JOIN agents_apikey k ON k.id = c.key_id WHERE c.id = %s",
        [new_id(), RESOLVED, call_id],
    )


async def find(connection: Connection, key_id: uuid.UUID, idempotency_key: str) -> Call | None:
    """The call that this key made."""
    found = await _read(connection, "c.key_id = %s AND c.idempotency_key = %s", [key_id, idempotency_key])
    return found[0] if found else None


async def fetch(connection: Connection, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Call]:
    """Calls by their ids."""
    return {call.id: call for call in await _read(connection, "c.id = ANY(%s)", [list(ids)])}


async def lock(connection: Connection, call_id: uuid.UUID) -> Call | None:
    """The call, locked until the transaction ends, and its approval's row after it."""
    await connection.execute("SELECT 1 FROM approvals_toolcall WHERE id = %s FOR UPDATE", [call_id])
    await connection.execute("SELECT 1 FROM approvals_approval WHERE id = %s AND by_aap FOR UPDATE", [call_id])
    return (await fetch(connection, [call_id])).get(call_id)


async def before(connection: Connection, call_id: uuid.UUID, call_hash: str) -> Call | None:
    """The latest call alike that a person was asked about."""
    condition = "c.call_hash = %s AND c.id <> %s AND a.id IS NOT NULL ORDER BY c.id DESC LIMIT 1"
    found = await _read(connection, condition, [call_hash, call_id])
    return found[0] if found else None


async def consume(connection: Connection, call_id: uuid.UUID, key: str, now: datetime) -> bool:
    """Takes the approval, once."""
    done = await connection.execute(
        "UPDATE approvals_toolcall SET consumed_at = %s, consume_key = %s WHERE id = %s AND consumed_at IS NULL",
        [now, key, call_id],
    )
    return done.rowcount == 1


async def report(connection: Connection, call_id: uuid.UUID, outcome: str, note: str | None, now: datetime) -> None:
    """Keeps what the agent says came of it; the first word stands."""
    done = await connection.execute(
        "UPDATE approvals_toolcall SET outcome = %s, outcome_note = %s, reported_at = %s"
        " WHERE id = %s AND consumed_at IS NOT NULL AND outcome = ''",
        [outcome, note, now, call_id],
    )
    if done.rowcount != 1:
        raise RuntimeError(f"the call {call_id} has an outcome already")


async def is_granted(connection: Connection, grant_id: uuid.UUID) -> bool:
    """Whether the grant that allowed a call was not taken back meanwhile."""
    cursor = await connection.execute("SELECT 1 FROM approvals_grant WHERE id = %s AND revoked_at IS NULL", [grant_id])
    return await cursor.fetchone() is not None


async def _read(connection: Connection, condition: str, values: list[Any]) -> list[Call]:
    async with connection.cursor(row_factory=class_row(Call)) as cursor:
        await cursor.execute(f"{SELECT} WHERE {condition}", values)
        return await cursor.fetchall()
