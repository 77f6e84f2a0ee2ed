"""How much is recorded. warden.metrics shows what every room counts."""

from functools import partial

from django.db import transaction
from prometheus_client import Counter

RECORD_EVENTS = Counter("agentwarden_record_events_total", "Events written to the record and committed, live and test")


def recorded(number: int) -> None:
    """Counts `number` events once their transaction has committed. A count that fails never fails what it counts."""
    transaction.on_commit(partial(RECORD_EVENTS.inc, number), robust=True)
