"""The agent's half of a conversation, in a transaction of the gateway's writer: what it reads, and what it answers.

An agent sees what it was asked and what it answered itself; what people say to each other it does not.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from approvals.comments import Evidence
from approvals.holding import Held
from audit.ids import new_id, show_id

AT_MOST = 50  # answers of an agent to one approval
Connection = AsyncConnection[Any]


@dataclass(slots=True)
class Said:
    """One line of the thread: a row of approvals_comment."""

    id: uuid.UUID
    approval_id: uuid.UUID
    author: str
    kind: str
    text: str
    evidence: str
    evidence_name: str
    created_at: datetime

    @property
    def comment_id(self) -> str:
        return show_id("cmt", self.id)


SAID = ", ".join(Said.__dataclass_fields__)
READ = f"SELECT {SAID} FROM approvals_comment WHERE approval_id = ANY(%s) AND kind <> 'comment' ORDER BY id"  # noqa: S608
# The count is the guard: whoever races here waits for the row, and finds it counted.
COUNT = (
    "UPDATE approvals_approval SET told = told + 1 WHERE id = %s AND state = 'pending'"
    " AND (expires_at > %s OR frozen_at IS NOT NULL)"
    " AND (SELECT count(*) FROM approvals_comment WHERE approval_id = %s AND kind = 'answer') < %s"
)
INSERT = (
    "INSERT INTO approvals_comment (id, approval_id, key_id, author, kind, text, mentions, evidence, evidence_name,"
    " created_at) VALUES (%s, %s, %s, %s, 'answer', %s, '{}', %s, %s, %s)"
)


async def read(connection: Connection, held: Iterable[Held]) -> dict[uuid.UUID, list[Said]]:
    """The threads of those that have one."""
    wanted = [each.id for each in held if each.told]
    if not wanted:
        return {}
    found: dict[uuid.UUID, list[Said]] = {}
    async with connection.cursor(row_factory=class_row(Said)) as cursor:
        await cursor.execute(READ, [wanted])
        async for said in cursor:
            found.setdefault(said.approval_id, []).append(said)
    return found


async def answer(
    connection: Connection, held: Held, *, key_id: uuid.UUID, text: str, evidence: Evidence | None, now: datetime
) -> Said | None:
    """Adds what the agent says to a pending approval that is locked; None where it said too much already."""
    counted = await connection.execute(COUNT, [held.id, now, held.id, AT_MOST])
    if counted.rowcount != 1:
        return None
    said = Said(
        new_id(),
        held.id,
        held.agent_slug,
        "answer",
        text,
        evidence.text if evidence else "",
        evidence.name if evidence else "",
        now,
    )
    values = [said.id, held.id, key_id, said.author, text, said.evidence, said.evidence_name, now]
    await connection.execute(INSERT, values)
    return said
