"""Counters of budgets: reserved with the request, given back when it comes to nothing, read for people.

Reservations lock their counters, always in the same order and after everything else, until their transaction ends:
raced requests, in whatever process, add up exactly, and a commit that fails takes back what it reserved.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection as django_connection
from psycopg import AsyncConnection

from agents.models import Spending
from agents.policy.budgets import Need

ORDER = "owner, mode, span, starts, unit"
OPEN = (
    f"INSERT INTO agents_spending ({ORDER}, value)"  # noqa: S608
    " SELECT *, 0 FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::text[])"
    f" AS wanted ({ORDER}) ORDER BY {ORDER}"
    f" ON CONFLICT ({ORDER}) DO UPDATE SET value = agents_spending.value RETURNING id, {ORDER}, value"
)
KEEP = (
    "UPDATE agents_spending SET value = kept.value FROM unnest(%s::bigint[], %s::numeric[]) AS kept (id, value)"
    " WHERE agents_spending.id = kept.id"
)
# What approvals reserved: one each, or their amount. Locked in the order of OPEN.
GIVE_BACK = f"""
WITH mine AS (
    SELECT unnest(reserved) AS id, coalesce(reserved_amount, 0) AS amount FROM approvals_approval WHERE id = ANY(%s)
), locked AS (
    SELECT id, unit FROM agents_spending WHERE id IN (SELECT id FROM mine) ORDER BY {ORDER} FOR UPDATE
), back AS (
    SELECT id, sum(CASE WHEN locked.unit = '' THEN 1 ELSE mine.amount END) AS value
    FROM mine JOIN locked USING (id) GROUP BY id
)
UPDATE agents_spending SET value = greatest(agents_spending.value - back.value, 0)
FROM back WHERE agents_spending.id = back.id
"""  # noqa: S608
# The counters an approval is reserved on, by name: their values are read by OPEN, which locks them.
NAMED = f"SELECT {ORDER} FROM agents_spending WHERE id = ANY(%s)"  # noqa: S608
READ = (
    f"SELECT s.id, {ORDER}, s.value FROM agents_spending s"  # noqa: S608
    " JOIN unnest(%s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::text[])"
    f" AS wanted ({ORDER}) USING ({ORDER})"
)
KEPT = "70 days"

Key = tuple[str, str, str, datetime, str]


class Wanted(NamedTuple):
    """What one request takes, all of it or nothing."""

    mode: str
    needs: Sequence[Need]

    def counters(self) -> list[Key]:
        return [(each.owner, self.mode, each.limit.span, each.starts, each.limit.unit) for each in self.needs]


class Outcome(NamedTuple):
    """The counters a request was reserved on; or the budget that it is over, and what was used of it."""

    reserved: list[int]
    over: tuple[Need, Decimal] | None = None


async def reserve(connection: AsyncConnection[Any], wanted: Sequence[Wanted]) -> list[Outcome]:
    """Takes what each asks for, in their order. Nobody gets a part, and nobody gets more than is left."""
    keys = sorted({key for each in wanted for key in each.counters()})
    cursor = await connection.execute(OPEN, _columns(keys))
    ids, used = _read([row async for row in cursor])
    outcomes, changed = [], set()
    for each in wanted:
        mine = list(zip(each.counters(), each.needs, strict=True))
        over = next(((need, used[key]) for key, need in mine if not need.fits(used[key])), None)
        if over is None:
            for key, need in mine:
                used[key] += need.amount
                changed.add(key)
        outcomes.append(Outcome([] if over else [ids[key] for key, _ in mine], over))
    if changed:
        await connection.execute(KEEP, [[ids[key] for key in changed], [used[key] for key in changed]])
    return outcomes


def exchange(reserved: Sequence[int], amount: Decimal | None, wanted: Wanted, *, look: bool = False) -> Outcome:
    """Takes what `wanted` asks for in place of what `reserved` holds, one each or `amount`: both, or neither.

    What it holds already it may keep, over the budget or not. With `look` nothing is locked or changed.
    """
    with django_connection.cursor() as cursor:
        cursor.execute(NAMED, [list(reserved)])
        held = [_key(row) for row in cursor.fetchall()]
        keys = sorted({*held, *wanted.counters()})
        if not keys:
            return Outcome([])
        cursor.execute(READ if look else OPEN, _columns(keys))
        ids, used = _read(cursor.fetchall())
        back = {key: Decimal(1) if not key[-1] else amount or Decimal(0) for key in held}
        left = {key: max(used.get(key, Decimal(0)) - back.get(key, 0), Decimal(0)) for key in keys}
        mine = list(zip(wanted.counters(), wanted.needs, strict=True))
        for key, need in mine:
            if not need.fits(left[key]) and need.amount > back.get(key, 0):
                return Outcome([], (need, left[key]))
        if look:
            return Outcome([])
        for key, need in mine:
            left[key] += need.amount
        changed = [key for key in keys if left[key] != used[key]]
        cursor.execute(KEEP, [[ids[key] for key in changed], [left[key] for key in changed]])
        return Outcome([ids[key] for key, _ in mine])


def _columns(keys: Sequence[Key]) -> list[list[Any]]:
    return [list(column) for column in zip(*keys, strict=True)]


def _read(rows: Iterable[Sequence[Any]]) -> tuple[dict[Key, int], dict[Key, Decimal]]:
    """The ids and the values of counters, as OPEN and READ give them."""
    found = [(_key(row[1:-1]), row[0], row[-1]) for row in rows]
    return {key: number for key, number, _ in found}, {key: value for key, _, value in found}


def _key(row: Sequence[Any]) -> Key:
    owner, mode, span, starts, unit = row
    return str(owner), mode, span, starts, unit


def give_back(approvals: Iterable[uuid.UUID]) -> None:
    """Gives back what approvals reserved that came to nothing. Once, in the transaction that ends them."""
    with django_connection.cursor() as cursor:
        cursor.execute(GIVE_BACK, [list(approvals)])


def used(mode: str, needs: Sequence[Need]) -> list[Decimal]:
    """What was used of each, for people and the simulator: nothing is reserved."""
    owners = {uuid.UUID(need.owner) for need in needs}
    rows = Spending.objects.filter(owner__in=owners, mode=mode, starts__in={need.starts for need in needs})
    found = {(str(row.owner), row.span, row.starts, row.unit): row.value for row in rows}
    return [
        found.get((need.owner, need.limit.span, need.starts, need.limit.unit), Decimal(0)).normalize() for need in needs
    ]


def forget() -> None:
    """Counters of windows long over."""
    with django_connection.cursor() as cursor:
        cursor.execute("DELETE FROM agents_spending WHERE starts < clock_timestamp() - %s::interval", [KEPT])
