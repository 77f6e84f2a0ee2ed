"""Time is the database's clock: one clock for every process, so that a deadline passes once."""

from datetime import datetime

from django.db import connection
from django.db.models import DateTimeField, Func


def database_now() -> datetime:
    """clock_timestamp(): the time now, not the time the transaction began."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


class ClockTimestamp(Func):
    """The same, within a query."""

    function = "clock_timestamp"
    output_field = DateTimeField()
