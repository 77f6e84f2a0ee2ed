"""How many requests of an agent may wait for people at once: past that, a flood would tire them into saying yes.

New requests of one agent and mode are counted one transaction after the other, under an advisory lock that only this
takes, so that raced ones never come to more.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from approvals.intake import Held

TOO_MANY = "too_many_pending"  # the code of a decision
# In the order of their numbers, as every process takes them, until the transaction ends.
LOCK = (
    "SELECT pg_advisory_xact_lock(number) FROM (SELECT DISTINCT hashtextextended(name, 0) AS number"
    " FROM unnest(%s::text[]) AS name ORDER BY number) AS numbers"
)
# By a snapshot of its own, taken once the lock is held: it sees what others committed meanwhile, and this one's.
COUNT = (
    "SELECT agent_id, mode, count(*) FROM approvals_approval WHERE agent_id = ANY(%s) AND state = 'pending'"
    " AND (expires_at > %s OR frozen_at IS NOT NULL) GROUP BY agent_id, mode"
)


async def beyond(
    connection: AsyncConnection[Any], new: Sequence[Held], most: Mapping[uuid.UUID, int], now: datetime
) -> set[uuid.UUID]:
    """Those of the requests that this transaction just made, in their order, that are more than `most` of their agent.

    What is overdue does not wait any more, whether or not the sweep has come by.
    """
    places = sorted({f"pending {held.agent_id} {held.mode}" for held in new})
    async with connection.pipeline():  # one way there and back
        await connection.execute(LOCK, [places])
        cursor = await connection.execute(COUNT, [list(most), now])
        waiting = {(agent, mode): count async for agent, mode, count in cursor}
    made = Counter((held.agent_id, held.mode) for held in new)
    over: set[uuid.UUID] = set()
    for held in new:
        place = (held.agent_id, held.mode)
        before = waiting.get(place, 0) - made[place]
        made[place] -= 1
        if before >= most[held.agent_id]:
            over.add(held.id)
            waiting[place] -= 1
    return over


def refusal(agent: str, most: int) -> str:
    """Why it is denied, in words for the agent and its developer."""
    are = "request waits" if most == 1 else "requests wait"
    return (
        f"{most} {are} for people already, as many as '{agent}' may have: wait until some are decided, or cancel what"
        " is not needed any more"
    )
