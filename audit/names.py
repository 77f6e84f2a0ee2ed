"""The distinct names in one column of the record, by skipping through its index: as fast over millions as over few."""

import uuid
from typing import Literal

from django.db import connection

LIMIT = 200
COLUMNS = {"agent", "action"}
SKIP = """
WITH RECURSIVE found(name) AS (
    (SELECT {column} FROM audit_event WHERE organization_id = %(organization)s AND mode = %(mode)s
        AND {column} <> '' AND {column} >= %(start)s ORDER BY {column} LIMIT 1)
    UNION ALL
    SELECT (SELECT {column} FROM audit_event WHERE organization_id = %(organization)s AND mode = %(mode)s
        AND {column} <> '' AND {column} > found.name ORDER BY {column} LIMIT 1)
    FROM found WHERE found.name IS NOT NULL AND starts_with(found.name, %(start)s)
)
SELECT name FROM found WHERE name IS NOT NULL AND starts_with(name, %(start)s) LIMIT %(limit)s
"""


def names(
    organization_id: uuid.UUID, modes: list[str], column: Literal["agent", "action"], start: str = ""
) -> list[str]:
    """The first LIMIT names that begin with `start`, sorted."""
    if column not in COLUMNS:
        raise ValueError(column)
    found: set[str] = set()
    with connection.cursor() as cursor:
        for mode in modes:
            cursor.execute(
                SKIP.format(column=column),
                {"organization": organization_id, "mode": mode, "start": start, "limit": LIMIT},
            )
            found.update(name for (name,) in cursor.fetchall())
    return sorted(found)[:LIMIT]
