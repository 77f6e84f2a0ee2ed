"""Makes approvals for agents, or finds what their ask comes to, many at a time, inside a transaction of the gateway's
writer.

Raw SQL on an asynchronous connection: this is the hot path. What becomes of them at the agent's door is
approvals.moves. Every function changes rows by a condition and trusts only the rows that come back.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from approvals import clock, granting, moves, rules, states
from approvals.granting import Granted
from approvals.holding import HELD, Connection, Held, announce, entry
from approvals.receipts import approvers
from approvals.standing import standing
from audit.ids import new_id
from audit.leaf import SYSTEM, Entry


@dataclass(slots=True)
class Ask:
    """One check that needs a person."""

    digest: str
    organization_id: uuid.UUID
    mode: str
    agent_id: uuid.UUID
    agent_slug: str
    key_id: uuid.UUID
    requesters: list[uuid.UUID]
    action: str
    callee: str
    environment: str
    amount: Decimal | None
    currency: str
    risk: str
    context: str
    reasoning: str
    permission: str
    rule: Mapping[str, Any]
    policy_version: str
    lifetime: timedelta
    cooldown: timedelta
    id: uuid.UUID = field(default_factory=new_id)
    by_aap: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What an ask came to: `new`, the same one still `pending`, `claimed` (the one allow), a stored `refused`, or
    `edited`: approved, but as a person changed it, so that what was asked now is not allowed.
    """

    kind: Literal["new", "pending", "claimed", "refused", "edited"]
    held: Held
    approved_by: list[dict[str, str]] = field(default_factory=list)  # of what is claimed


async def ask(connection: Connection, asks: list[Ask], now: datetime, entries: list[Entry]) -> list[Reply | Granted]:
    """What each ask comes to, in their order. Raced identical asks, in this call or another process, meet in one row.

    What had to end on the way (overdue, lapsed) is added to `entries`, for the record. What is new waits for open_new.
    Raises RuntimeError where a digest is fought over so hard that no answer is certain.
    """
    replies: dict[int, Reply | Granted] = {}
    waiting = list(range(len(asks)))
    for _ in range(len(asks) + 3):
        if not waiting:
            return [replies[index] for index in range(len(asks))]
        waiting = await _round(connection, asks, waiting, replies, now, entries)
    raise RuntimeError("identical checks are racing: no certain answer")


async def open_new(connection: Connection, opened: list[tuple[Held, list[int]]], over: list[Held]) -> None:
    """Announces what is new, with the counters it was reserved on; what is over a budget never was, for anybody.

    The last step of an ask, in its transaction.
    """
    reserved = [(counters, held.id) for held, counters in opened if counters]
    async with connection.cursor() as cursor:
        if reserved:
            await cursor.executemany(
                "UPDATE approvals_approval SET reserved = %s, reserved_amount = amount WHERE id = %s", reserved
            )
        if over:
            await cursor.execute("DELETE FROM approvals_approval WHERE id = ANY(%s)", [[held.id for held in over]])
    await announce(connection, [("approval.requested", held) for held, _ in opened])


async def _round(
    connection: Connection,
    asks: list[Ask],
    waiting: list[int],
    replies: dict[int, Reply | Granted],
    now: datetime,
    entries: list[Entry],
) -> list[int]:
    """Answers what it can of `waiting` into `replies`; returns what another round must look at again."""
    latest = await _latest(connection, {asks[index].digest for index in waiting})
    to_claim: dict[uuid.UUID, int] = {}
    to_insert: dict[str, int] = {}
    again: list[int] = []
    for index in waiting:
        request = asks[index]
        held = latest.get(request.digest)
        if held and (reply := _standing(held, request, now)):
            replies[index] = reply
            if reply.kind == "pending" and (others := set(request.requesters) - set(held.requesters)):
                await _join(connection, held, sorted(others))
        elif held and _claimable(held, now) and held.digest != request.digest:
            replies[index] = Reply("edited", held)
        elif held and _claimable(held, now):
            # One of them claims; the others look again, and see it claimed.
            if held.id in to_claim:
                again.append(index)
            else:
                to_claim[held.id] = index
        elif request.digest in to_insert:
            again.append(index)
        else:
            if held:
                await _clear_away(connection, held, now, entries)
            to_insert[request.digest] = index
    if to_claim:
        sound = await standing(connection, to_claim)
        for approval_id in list(to_claim):
            if approval_id not in sound:  # its votes do not count any more: it makes place for a new request
                await moves.give_up(connection, approval_id, now, entries)
                again.append(to_claim.pop(approval_id))
        claimed = await moves.claim_all(connection, list(to_claim), now)
        approved_by = await approvers(connection, claimed.values())
        for approval_id, index in to_claim.items():
            if approval_id in claimed:
                replies[index] = Reply("claimed", claimed[approval_id], approved_by[approval_id])
            else:
                again.append(index)
    # Before a person is asked anew: a grant. What was denied, or waits already, no grant overrules.
    granted = await granting.use(connection, {index: asks[index] for index in to_insert.values()}, now)
    replies |= granted
    to_insert = {key: index for key, index in to_insert.items() if index not in granted}
    if to_insert:
        made = await _insert(connection, [asks[index] for index in to_insert.values()], now)
        for key, index in to_insert.items():
            if key in made:
                replies[index] = Reply("new", made[key])
            else:
                again.append(index)
    return again


async def _join(connection: Connection, held: Held, others: list[uuid.UUID]) -> None:
    """Puts those for whom it is asked again into its chain: what their key waits for is not theirs to decide (I3)."""
    await connection.execute(
        "UPDATE approvals_approval SET requesters = requesters || %s::uuid[] WHERE id = %s AND state = 'pending'",
        [others, held.id],
    )
    held.requesters += others


async def _clear_away(connection: Connection, held: Held, now: datetime, entries: list[Entry]) -> None:
    """Ends what is overdue and would have been ended by the sweep a little later, so that a new request can open."""
    if held.state == states.PENDING:
        ended = await moves.expire(connection, held.id, now)
        kind = "system:approval:expired"
    elif held.is_open:
        ended = await moves.lapse(connection, held.id, now)
        kind = "system:approval:lapsed"
    else:
        return
    if ended:
        entries.append(entry(ended, kind, SYSTEM, result=kind.rpartition(":")[2]))


def _standing(held: Held, request: Ask, now: datetime) -> Reply | None:
    """The answer that already stands: still pending, or refused a short while ago."""
    status = held.status(now)
    if status == states.PENDING:
        return Reply("pending", held)
    ended = held.expires_at if held.state == states.PENDING else held.decided_at
    if status in (states.DENIED, states.EXPIRED) and ended and now < ended + request.cooldown:
        return Reply("refused", held)
    return None


def _claimable(held: Held, now: datetime) -> bool:
    return held.state == states.APPROVED and held.is_open and held.claim_until is not None and now < held.claim_until


# One row a digest, however often it was asked before; and the open one, whatever the clocks of the machines that made
# the identifiers say. What a person changed is found by what it was and by what it is.
LATEST = (
    f"SELECT {HELD} FROM approvals_approval WHERE digest = ANY(%(wanted)s)"  # noqa: S608
    " AND (state = 'pending' OR (state = 'approved' AND claimed_at IS NULL AND lapsed_at IS NULL))"
    " UNION ALL SELECT latest.* FROM unnest(%(wanted)s::text[]) AS wanted (value) CROSS JOIN LATERAL"
    f" (SELECT {HELD} FROM approvals_approval WHERE digest = wanted.value ORDER BY id DESC LIMIT 1) AS latest"
    " UNION ALL SELECT edited.* FROM unnest(%(wanted)s::text[]) AS wanted (value) CROSS JOIN LATERAL"
    f" (SELECT {HELD} FROM approvals_approval WHERE asked = wanted.value ORDER BY id DESC LIMIT 1) AS edited"
)


async def _latest(connection: Connection, digests: set[str]) -> dict[str, Held]:
    wanted = sorted(digests)
    latest: dict[str, Held] = {}
    async with connection.cursor(row_factory=class_row(Held)) as cursor:
        await cursor.execute(LATEST, {"wanted": wanted})
        async for held in cursor:
            for name in {held.digest, held.asked} & digests:
                if name is not None and _prevails(held, latest.get(name), name):
                    latest[name] = held
    return latest


def _prevails(held: Held, other: Held | None, digest: str) -> bool:
    """Whether `held` speaks for a digest rather than `other`: the open one, what is exactly that, the later."""
    if other is None:
        return True
    ranks = [(each.is_open, each.digest == digest, each.id) for each in (held, other)]
    return ranks[0] > ranks[1]


AGAIN = timedelta(hours=24)
# The first request for the same action after one that was sent back is taken for the one asked again.
INSERT = (
    "INSERT INTO approvals_approval (id, organization_id, mode, agent_id, agent_slug, key_id, requesters, action,"
    " callee, environment, amount, currency, risk, context, reasoning, permission, rule, policy_version, digest,"
    " by_aap, state, created_at, expires_at, remind_at, escalate_at, decided_by_label, reason, claim_key, outcome,"
    " follows_id)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 'pending', %s, %s, %s,"
    " %s, '', '', '', '', (SELECT id FROM approvals_approval AS earlier WHERE agent_id = %s AND mode = %s"
    " AND environment = %s AND action = %s AND code = 'changes_requested' AND decided_at > %s AND NOT EXISTS"
    " (SELECT FROM approvals_approval AS later WHERE later.follows_id = earlier.id) ORDER BY id DESC LIMIT 1))"
    " ON CONFLICT DO NOTHING"
)


async def _insert(connection: Connection, asks: list[Ask], now: datetime) -> dict[str, Held]:
    """Inserts what no other process inserted first. Sorted by digest, so that two writers never wait in a circle."""
    ordered = sorted(asks, key=lambda request: request.digest)
    made: dict[str, Held] = {}
    rows = [
        (
            request.id,
            request.organization_id,
            request.mode,
            request.agent_id,
            request.agent_slug,
            request.key_id,
            request.requesters,
            request.action,
            request.callee,
            request.environment,
            request.amount,
            request.currency,
            request.risk,
            request.context,
            request.reasoning,
            request.permission,
            Jsonb(dict(request.rule)),
            request.policy_version,
            request.digest,
            request.by_aap,
            now,
            now + request.lifetime,
            clock.reminder(now, now + request.lifetime, 0),
            clock.escalation(rules.Rule.read(request.rule), now, 0),
            request.agent_id,
            request.mode,
            request.environment,
            request.action,
            now - AGAIN,
        )
        for request in ordered
    ]
    async with connection.cursor() as cursor:
        await cursor.executemany(INSERT, rows, returning=True)  # pipelined
        for request in ordered:
            if cursor.rowcount == 1:
                made[request.digest] = _held(request, now)
            if not cursor.nextset():
                break
    return made


def _held(request: Ask, now: datetime) -> Held:
    return Held(
        request.id,
        request.organization_id,
        request.mode,
        request.agent_id,
        request.agent_slug,
        request.action,
        request.callee,
        request.environment,
        request.context,
        request.permission,
        request.digest,
        states.PENDING,
        now,
        now + request.lifetime,
        None,
        "",
        "",
        None,
        None,
        None,
        request.requesters,
        by_aap=request.by_aap,
        policy_version=request.policy_version,
    )
