"""How late the record is, for organizations that have high risk denied meanwhile. Others never ask."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from agents.load import KeyFacts, Loaded
from audit.lag import ORDERED
from gateway.writer import Batch

FRESH = timedelta(seconds=0.5)  # for which what was read is good: one look-up, however many checks


class Lateness:
    """One per process: up to when the record was in order, as it was read last."""

    def __init__(self) -> None:
        self._read_at: datetime | None = None
        self._ordered_at: datetime | None = None

    async def look(self, batch: Batch, admitted: Iterable[tuple[KeyFacts, Loaded]]) -> None:
        """Tells `batch`, where one of these wants to know. Untold, it counts as late."""
        if not any(loaded.deny_when_late for _, loaded in admitted):
            return
        if self._read_at is None or not timedelta() <= batch.now - self._read_at < FRESH:
            cursor = await batch.connection.execute(f"SELECT {ORDERED}")
            found = await cursor.fetchone()
            self._read_at, self._ordered_at = batch.now, found[0] if found else None
        batch.ordered_at = self._ordered_at
