"""The months of the record, each a partition of audit_event, made ahead of time by the sequencer."""

import psycopg
import structlog

from audit.signing import Connection

log = structlog.get_logger(__name__)
AHEAD = 1  # months beyond this one: a month to try in
ADD = """
SELECT audit_add_partition((date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + %s * interval '1 month')::date)
"""


def make_ahead(connection: Connection) -> None:
    """Makes the partitions of this month and the next. What cannot be made (a lock, rows in the default) is said."""
    for months in range(AHEAD + 1):
        try:
            connection.execute(ADD, [months])
        except (psycopg.errors.LockNotAvailable, psycopg.errors.CheckViolation) as error:
            log.warning("record.partition_failed", months_ahead=months, error=type(error).__name__)
