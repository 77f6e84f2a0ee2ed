"""The distinct names in one column of the record, by skipping through its index: as fast over millions as over few."""

import uuid
from typing import Literal

from django.db import connection

from audit.models import FREQUENT_KINDS

LIMIT = 200
# What the partial indexes hold, so that the planner may use them.
HELD = {
    "agent": "agent <> ''",
    "action": "action <> ''",
    "kind": f"NOT (kind IN ({', '.join(repr(kind) for kind in FREQUENT_KINDS)}))",
}
SKIP = """
WITH RECURSIVE found(name) AS (
    (SELECT {column} FROM audit_event WHERE organization_id = %(organization)s AND mode = %(mode)s
        AND {held} AND {column} >= %(start)s ORDER BY {column} LIMIT 1)
    UNION ALL
    SELECT (SELECT {column} FROM audit_event WHERE organization_id = %(organization)s AND mode = %(mode)s
        AND {held} AND {column} > found.name ORDER BY {column} LIMIT 1)
    FROM found WHERE found.name IS NOT NULL AND starts_with(found.name, %(start)s)
)
SELECT name FROM found WHERE name IS NOT NULL AND starts_with(name, %(start)s) LIMIT %(limit)s
"""


def names(
    organization_id: uuid.UUID, mode: str, column: Literal["agent", "action", "kind"], start: str = ""
) -> list[str]:
    """The first LIMIT names that begin with `start`, sorted; of kinds, those that are not FREQUENT_KINDS."""
    with connection.cursor() as cursor:
        cursor.execute(
            SKIP.format(column=column, held=HELD[column]),
            {"organization": organization_id, "mode": mode, "start": start, "limit": LIMIT},
        )
        return [name for (name,) in cursor.fetchall()]
