"""Whether approvals that were given still stand when the agent takes them: their votes are counted once more (I5).

One query for however many, on the gateway's connection; the counting is that of approvals.rules.
"""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from approvals import rules, states
from approvals.glass import ladder

GONE = "Those who approved it may not decide it any more: ask again"

# For each approval its rule, its chain as it is now, its votes, and who gave them, with the roles and teams of now.
FACTS = """
SELECT a.id, a.rule, a.escalated, a.digest, a.expires_at, a.requesters, a.editors,
    o.single_operator_since IS NOT NULL,
    ARRAY(
        SELECT g.owner_user_id WHERE g.owner_user_id IS NOT NULL
        UNION SELECT m.user_id FROM accounts_team_members t JOIN accounts_membership m ON m.id = t.membership_id
        WHERE t.team_id = g.owner_team_id
    ),
    ARRAY(
        SELECT jsonb_build_array(r.user_id, r.on_behalf_of_id, r.verdict, r.digest)
        FROM approvals_review r WHERE r.approval_id = a.id AND r.voided_at IS NULL ORDER BY r.id
    ),
    ARRAY(
        SELECT jsonb_build_array(m.user_id, m.role, ARRAY(
            SELECT t.team_id FROM accounts_team_members t WHERE t.membership_id = m.id
        ), m.breaks_glass)
        FROM accounts_membership m JOIN accounts_user u ON u.id = m.user_id AND u.is_active
        WHERE m.organization_id = a.organization_id AND m.user_id IN (
            SELECT r.user_id FROM approvals_review r WHERE r.approval_id = a.id
            UNION SELECT r.on_behalf_of_id FROM approvals_review r WHERE r.approval_id = a.id
            UNION SELECT b.user_id FROM approvals_breakglass b WHERE b.approval_id = a.id
        )
    ),
    (SELECT jsonb_build_array(b.user_id, b.digest, b.verdict) FROM approvals_breakglass b WHERE b.approval_id = a.id)
FROM approvals_approval a JOIN accounts_organization o ON o.id = a.organization_id
JOIN agents_agent g ON g.id = a.agent_id
WHERE a.id = ANY(%s)
"""


async def standing(connection: AsyncConnection[Any], ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these approvals whose votes would approve them at this moment too."""
    cursor = await connection.execute(FACTS, [list(ids)])
    return {row[0] async for row in cursor if _stands(*row[1:])}


def _stands(
    rule: dict[str, Any],
    escalated: int,
    digest: str,
    expires_at: datetime,
    requesters: list[uuid.UUID],
    editors: list[uuid.UUID],
    single_operator: bool,
    owners: list[uuid.UUID],
    votes: list[list[Any]],
    people: list[list[Any]],
    broken: list[Any] | None,
) -> bool:
    known = {
        uuid.UUID(id_): rules.Person(uuid.UUID(id_), role, frozenset(map(uuid.UUID, teams)), glass)
        for id_, role, teams, glass in people
    }

    def person(id_: str) -> rules.Person:
        return known.get(uuid.UUID(id_)) or rules.Person(uuid.UUID(id_), None)

    case = rules.Case(
        state=states.APPROVED,
        expires_at=expires_at,
        digest=digest,
        rule=rules.Rule.read(rule),
        requesters=frozenset(requesters),
        owners=frozenset(owners),
        editors=frozenset(editors),
        votes=tuple(
            rules.Vote(person(by), verdict, shown, person(behalf) if behalf else None)
            for by, behalf, verdict, shown in votes
        ),
        escalated=escalated,
        single_operator=single_operator,
    )
    if broken:  # outside its rule: its votes say nothing of it, and they must not stand in for who broke the glass
        by, shown, verdict = broken
        return ladder.stands(case, person(by), shown, verdict)
    return rules.tally(case).outcome == states.APPROVED
