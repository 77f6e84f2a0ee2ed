"""How many requests of an agent may wait for people at once: past that, a flood would tire people into saying yes.

The database writes down each request that begins to wait or ends (approvals.models.PlaceChange). Whoever makes a new
one adds those up into the agent's counter, one transaction after the other under an advisory lock that only this takes:
raced requests never come to more, deciding waits for nobody, and the work does not grow with what waits.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from agents.models import Agent
from approvals.holding import Held
from approvals.models import Approval, still_waits

TOO_MANY = "too_many_pending"  # the code of a decision
# In the order of their numbers, as every process takes them, until the transaction ends.
LOCK = (
    "SELECT pg_advisory_xact_lock(number) FROM (SELECT DISTINCT hashtextextended(name, 0) AS number"
    " FROM unnest(%s::text[]) AS name ORDER BY number) AS numbers"
)
# By a snapshot of its own, taken once the lock is held: it sees what others committed meanwhile, and this one's.
ADD_UP = """
WITH changes AS (
    DELETE FROM approvals_placechange WHERE agent_id = ANY(%(agents)s)
    AND (agent_id, mode) IN (SELECT * FROM unnest(%(agents)s::uuid[], %(modes)s::text[]))
    RETURNING agent_id, mode, change
)
INSERT INTO approvals_place AS p (agent_id, mode, taken)
    SELECT agent_id, mode, sum(change) FROM changes GROUP BY agent_id, mode
ON CONFLICT (agent_id, mode) DO UPDATE SET taken = p.taken + EXCLUDED.taken RETURNING agent_id, mode, taken
"""
# Pending, but past its deadline: the sweep has not come by yet. Looked at only where there seems to be no place.
OVERDUE = (
    "SELECT count(*) FROM approvals_approval WHERE agent_id = %s AND mode = %s AND state = 'pending'"
    " AND expires_at <= %s AND frozen_at IS NULL"
)


async def beyond(
    connection: AsyncConnection[Any], new: Sequence[Held], most: Mapping[uuid.UUID, int], now: datetime
) -> set[uuid.UUID]:
    """Those of the requests that this transaction just made, in their order, that are more than `most` of their agent.

    What is overdue does not wait any more, whether or not the sweep has come by.
    """
    made = Counter((held.agent_id, held.mode) for held in new)
    async with connection.pipeline():  # one way there and back
        await connection.execute(LOCK, [[f"pending {agent} {mode}" for agent, mode in made]])
        cursor = await connection.execute(
            ADD_UP, {"agents": [agent for agent, _ in made], "modes": [mode for _, mode in made]}
        )
        waiting = {(agent, mode): count async for agent, mode, count in cursor}
    for place in waiting:
        if waiting[place] > most[place[0]]:
            cursor = await connection.execute(OVERDUE, [*place, now])
            waiting[place] -= (await cursor.fetchone() or [0])[0]
    over: set[uuid.UUID] = set()
    for held in new:
        place = (held.agent_id, held.mode)
        before = waiting[place] - made[place]
        made[place] -= 1
        if before >= most[held.agent_id]:
            over.add(held.id)
            waiting[place] -= 1
    return over


def waiting(agent: Agent, mode: str, now: datetime) -> int:
    """How many of an agent's requests wait, for people to see."""
    return Approval.objects.filter(still_waits(now), agent=agent, mode=mode).count()


def refusal(agent: str, most: int) -> str:
    """Why it is denied, in words for the agent and its developer."""
    are = "request waits" if most == 1 else "requests wait"
    return (
        f"{most} {are} for people already, as many as '{agent}' may have: wait until some are decided, or cancel what"
        " is not needed any more"
    )
