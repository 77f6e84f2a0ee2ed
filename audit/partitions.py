"""The months of the record, each a partition of audit_event, made ahead of time by the sequencer.

Where a month has none, its events are written into the default partition, and are found, put in order, proved and let
go as any: nothing is refused or lost for want of a partition, only a month is not dropped as a whole then.
"""

import psycopg
import structlog

from audit.signing import Connection

log = structlog.get_logger(__name__)
AHEAD = 3  # months beyond this one: as long may it fail to make one
ADD = """
SELECT audit_add_partition((date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + %s * interval '1 month')::date)
"""


def make_ahead(connection: Connection) -> None:
    """Makes the partitions of this month and those ahead. What cannot be made (a lock, rows in the default) is said."""
    for months in range(AHEAD + 1):
        try:
            connection.execute(ADD, [months])
        except (psycopg.errors.LockNotAvailable, psycopg.errors.CheckViolation) as error:
            log.warning("record.partition_failed", months_ahead=months, error=type(error).__name__)
