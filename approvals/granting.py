"""Uses grants for checks that ask, in a transaction of the gateway's writer: counted by the database, or not at all."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from accounts import roles
from approvals.rule import Person, Rule
from approvals.terms import Given, Wanted, covers
from audit.canonical import read_canonical
from audit.ids import show_id

if TYPE_CHECKING:
    from approvals.intake import Ask

DECIDERS = [role for role in roles.ROLES if roles.may(role, "approvals:decide")]


@dataclass(slots=True)
class Live:
    """A grant that may still be used: one row of approvals_grant."""

    id: uuid.UUID
    organization_id: uuid.UUID
    mode: str
    agent_id: uuid.UUID
    action: str
    callee: str
    environment: str
    permission: str
    rule: dict[str, Any]
    currency: str
    each: Decimal | None
    same: str
    granted_by_id: uuid.UUID
    granted_by_label: str
    max_uses: int
    escalated: int  # steps of the rule that the approval had reached
    owner_user_id: uuid.UUID | None  # of the agent, now
    owner_team_id: uuid.UUID | None
    role: str | None  # of who gave it, now
    teams: list[uuid.UUID]

    @property
    def stands(self) -> bool:
        """Whether who gave it could approve it now: its rule names them, and they do not own the agent (I3)."""
        giver = Person(self.granted_by_id, self.role, frozenset(self.teams))
        owns = giver.id == self.owner_user_id or self.owner_team_id in giver.teams
        return not owns and Rule.read(self.rule).widened(self.escalated).lets(giver)


@dataclass(frozen=True, slots=True)
class Granted:
    """One use of a grant."""

    id: uuid.UUID
    by: str
    use: int
    of: int
    amount: Decimal

    @property
    def grant_id(self) -> str:
        return show_id("grt", self.id)


NOW = ("escalated", "owner_user_id", "owner_team_id", "role", "teams")
GRANT = [name for name in Live.__dataclass_fields__ if name not in NOW]
# With the role and the teams of now of who gave it: none for who left, or was deactivated.
FIND = (
    f"SELECT {', '.join(f'g.{name}' for name in GRANT)}, a.escalated,"  # noqa: S608
    " b.owner_user_id, b.owner_team_id, m.role,"
    " ARRAY(SELECT t.team_id FROM accounts_team_members t WHERE t.membership_id = m.id) AS teams"
    " FROM approvals_grant g JOIN approvals_approval a ON a.id = g.approval_id JOIN agents_agent b ON b.id = g.agent_id"
    " LEFT JOIN (accounts_membership m JOIN accounts_user u ON u.id = m.user_id AND u.is_active)"
    " ON m.organization_id = g.organization_id AND m.user_id = g.granted_by_id"
    " WHERE g.agent_id = ANY(%s) AND g.revoked_at IS NULL AND g.expires_at > %s AND g.uses < g.max_uses ORDER BY g.id"
)
# Whoever races here waits for the row and reads it again: uses and sums never pass their ends. Who gave it still has
# to be somebody who decides.
USE = (
    "UPDATE approvals_grant SET uses = uses + 1, used = used + %(amount)s WHERE id = %(id)s AND revoked_at IS NULL"
    " AND expires_at > %(now)s AND uses < max_uses AND (total IS NULL OR used + %(amount)s <= total)"
    " AND EXISTS (SELECT FROM accounts_membership m JOIN accounts_user u ON u.id = m.user_id AND u.is_active"
    " WHERE m.organization_id = approvals_grant.organization_id AND m.user_id = approvals_grant.granted_by_id"
    " AND m.role = ANY(%(roles)s)) RETURNING uses"
)
# What a budget refused is not used. The row is locked since USE, by this transaction.
GIVE_BACK = "UPDATE approvals_grant SET uses = uses - 1, used = used - %s WHERE id = %s"


async def use(connection: AsyncConnection[Any], asks: "dict[int, Ask]", now: datetime) -> dict[int, Granted]:
    """Those of these checks that a grant allows, each use counted. One query where their agents have no grants."""
    if not asks:
        return {}
    async with connection.cursor(row_factory=class_row(Live)) as cursor:
        await cursor.execute(FIND, [list({request.agent_id for request in asks.values()}), now])
        live = [row async for row in cursor]
    granted: dict[int, Granted] = {}
    if not live:
        return granted
    for index, request in asks.items():
        wanted = _wanted(request)
        for row in live:
            alike = covers(_given(row), wanted) and row.stands
            if alike and (used := await _count(connection, row, request, now)):
                granted[index] = used
                break
    return granted


async def _count(connection: AsyncConnection[Any], row: Live, request: "Ask", now: datetime) -> Granted | None:
    amount = request.amount or Decimal(0)
    values = {"id": row.id, "now": now, "amount": amount, "roles": DECIDERS}
    found = await (await connection.execute(USE, values)).fetchone()
    return Granted(row.id, row.granted_by_label, found[0], row.max_uses, amount) if found else None


async def give_back(connection: AsyncConnection[Any], refused: Iterable[Granted]) -> None:
    """Takes uses back that were counted in this transaction and came to nothing."""
    rows = [(each.amount, each.id) for each in refused]
    async with connection.cursor() as cursor:
        await cursor.executemany(GIVE_BACK, rows)


def _given(row: Live) -> Given:
    return Given(
        organization=str(row.organization_id),
        mode=row.mode,
        agent=str(row.agent_id),
        action=row.action,
        callee=row.callee,
        environment=row.environment,
        permission=row.permission,
        rule=row.rule,
        currency=row.currency,
        each=row.each,
        same=row.same,
        by=str(row.granted_by_id),
    )


def _wanted(request: "Ask") -> Wanted:
    return Wanted(
        organization=str(request.organization_id),
        mode=request.mode,
        agent=str(request.agent_id),
        action=request.action,
        callee=request.callee,
        environment=request.environment,
        permission=request.permission,
        rule=request.rule,
        currency=request.currency,
        amount=request.amount,
        risk=request.risk,
        context=read_canonical(request.context),
        requesters=frozenset(map(str, request.requesters)),
    )
