"""What becomes of an approval at the agent's door: claimed, cancelled, expired, lapsed. People's half is
approvals.services. Every function changes rows by a condition and trusts only the rows that come back.
"""

import uuid
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from approvals import states
from approvals.holding import CHANNEL, HELD, Connection, Held, announce, entry
from approvals.standing import GONE
from audit.leaf import SYSTEM, Entry
from audit.receipts import ASKED


async def claim(connection: Connection, approval_id: uuid.UUID, now: datetime, key: str) -> Held | None:
    """Takes an approval, once; None where it cannot be taken (any more)."""
    return (await claim_all(connection, [approval_id], now, key)).get(approval_id)


async def claim_all(
    connection: Connection, ids: list[uuid.UUID], now: datetime, key: str = ""
) -> dict[uuid.UUID, Held]:
    """Takes each of these that can be taken; only those that were."""
    async with connection.cursor(row_factory=class_row(Held)) as cursor:
        await cursor.execute(
            "UPDATE approvals_approval SET claimed_at = %s, claim_key = %s WHERE id = ANY(%s) AND state = 'approved'"  # noqa: S608
            f" AND claimed_at IS NULL AND lapsed_at IS NULL AND claim_until > %s RETURNING {HELD}",
            [now, key, ids, now],
        )
        claimed = {held.id: held async for held in cursor}
    await announce(connection, [("approval.claimed", held) for held in claimed.values()])
    if claimed:
        await connection.execute("SELECT pg_notify(%s, '')", [ASKED])
    return claimed


async def give_up(connection: Connection, approval_id: uuid.UUID, now: datetime, entries: list[Entry]) -> None:
    """Ends the claim of what was approved by people who may not decide it any more."""
    async with connection.cursor(row_factory=class_row(Held)) as cursor:
        await cursor.execute(
            "UPDATE approvals_approval SET lapsed_at = %s WHERE id = %s AND state = 'approved'"  # noqa: S608
            f" AND claimed_at IS NULL AND lapsed_at IS NULL RETURNING {HELD}",
            [now, approval_id],
        )
        if ended := await cursor.fetchone():
            entries.append(entry(ended, "system:approval:void", SYSTEM, result="void", data={"reason": GONE}))


async def lapse(connection: Connection, approval_id: uuid.UUID, now: datetime) -> Held | None:
    """Ends one that was approved and not taken in time."""
    async with connection.cursor(row_factory=class_row(Held)) as cursor:
        await cursor.execute(
            "UPDATE approvals_approval SET lapsed_at = %s WHERE id = %s AND state = 'approved'"  # noqa: S608
            f" AND claimed_at IS NULL AND lapsed_at IS NULL AND claim_until <= %s AND frozen_at IS NULL"
            f" RETURNING {HELD}",
            [now, approval_id, now],
        )
        return await cursor.fetchone()


OVERDUE = "expires_at <= %s AND frozen_at IS NULL"


async def expire(connection: Connection, approval_id: uuid.UUID, now: datetime) -> Held | None:
    """Ends one whose deadline has passed."""
    return await _end(connection, approval_id, states.EXPIRED, now, "Nobody decided in time", OVERDUE, [now])


async def cancel(connection: Connection, approval_id: uuid.UUID, now: datetime) -> Held | None:
    """Ends one that the agent gave up; None where it was not pending (any more)."""
    return await _end(connection, approval_id, states.CANCELLED, now, "The agent gave up", f"NOT ({OVERDUE})", [now])


async def _end(
    connection: Connection,
    approval_id: uuid.UUID,
    state: str,
    now: datetime,
    reason: str,
    condition: str,
    values: list[Any],
) -> Held | None:
    async with connection.cursor(row_factory=class_row(Held)) as cursor:
        await cursor.execute(
            "UPDATE approvals_approval SET state = %s, decided_at = %s, reason = %s"  # noqa: S608
            f" WHERE id = %s AND state = 'pending' AND {condition} RETURNING {HELD}",
            [state, now, reason, approval_id, *values],
        )
        ended = await cursor.fetchone()
    if ended:
        await announce(connection, [(f"approval.{state}", ended)])
        await connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(approval_id)])
    return ended


async def log_outcome(connection: Connection, approval_id: uuid.UUID, outcome: str, now: datetime) -> None:
    """Keeps what the agent says came of an approval it had claimed; the first word stands."""
    await connection.execute(
        "UPDATE approvals_approval SET outcome = %s, outcome_at = %s"
        " WHERE id = %s AND claimed_at IS NOT NULL AND outcome = ''",
        [outcome, now, approval_id],
    )
