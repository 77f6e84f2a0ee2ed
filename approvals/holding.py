"""An approval as the gateway holds it: the row, who is told of it, and its events. Raw SQL: this is the hot path."""

import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from approvals import states
from audit.ids import new_id, show_id
from audit.leaf import Actor, Entry

CHANNEL = "warden_approval"
Connection = AsyncConnection[Any]


@dataclass(slots=True)
class Held:
    """An approval as the gateway sees it: one row of approvals_approval."""

    id: uuid.UUID
    organization_id: uuid.UUID
    mode: str
    agent_id: uuid.UUID
    agent_slug: str
    action: str
    callee: str
    environment: str
    context: str
    permission: str
    digest: str
    state: str
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by_label: str
    reason: str
    claim_until: datetime | None
    claimed_at: datetime | None
    lapsed_at: datetime | None
    requesters: list[uuid.UUID]
    code: str = ""
    told: int = 0
    frozen_at: datetime | None = None  # since when the kill switch holds its deadlines
    asked: str | None = None  # the digest of what the agent asked, where a person changed it
    asked_context: str = ""
    by_aap: bool = False
    policy_version: str = ""  # under which it was asked

    @property
    def approval_id(self) -> str:
        return show_id("apr", self.id)

    @property
    def is_open(self) -> bool:
        """Whether it is the one of its digest that may still be decided or claimed (approval_open_once)."""
        unclaimed = self.claimed_at is None and self.lapsed_at is None
        return self.state == states.PENDING or (self.state == states.APPROVED and unclaimed)

    def status(self, now: datetime) -> str:
        """The state, where a pending one whose deadline has passed is expired already, swept or not."""
        overdue = self.expires_at <= now and self.frozen_at is None
        return states.EXPIRED if self.state == states.PENDING and overdue else self.state

    def seconds_left(self, now: datetime) -> float:
        """Until it expires; without end while its deadlines stand still."""
        return math.inf if self.frozen_at else (self.expires_at - now).total_seconds()


HELD = ", ".join(Held.__dataclass_fields__)
ANNOUNCE = (
    "INSERT INTO notifications_announcement (id, organization_id, mode, event, target) VALUES (%s, %s, %s, %s, %s)"
)


async def fetch(connection: Connection, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Held]:
    """Approvals by their ids."""
    async with connection.cursor(row_factory=class_row(Held)) as cursor:
        await cursor.execute(f"SELECT {HELD} FROM approvals_approval WHERE id = ANY(%s)", [list(ids)])  # noqa: S608
        return {held.id: held async for held in cursor}


async def lock(connection: Connection, approval_id: uuid.UUID) -> Held | None:
    """The row, locked until the transaction ends."""
    async with connection.cursor(row_factory=class_row(Held)) as cursor:
        await cursor.execute(
            f"SELECT {HELD} FROM approvals_approval WHERE id = %s FOR UPDATE",  # noqa: S608
            [approval_id],
        )
        return await cursor.fetchone()


def entry(held: Held, kind: str, actor: Actor, **more: Any) -> Entry:
    """An event about an approval."""
    return Entry(
        kind=kind,
        organization_id=held.organization_id,
        mode=held.mode,  # type: ignore[arg-type]
        actor=actor,
        agent=held.agent_slug,
        action=held.action,
        target=held.approval_id,
        **more,
    )


async def announce(connection: Connection, what: list[tuple[str, Held]]) -> None:
    """Owes people the news, in this transaction."""
    if not what:
        return
    async with connection.cursor() as cursor:
        await cursor.executemany(
            ANNOUNCE,
            [(new_id(), held.organization_id, held.mode, event, held.approval_id) for event, held in what],
        )
