"""Calls as their instances see them, read for whoever waits at the same moment."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from approvals.calls import intake
from approvals.calls.intake import Call
from gateway.policies import Era
from gateway.waiting import Reader


class Seen(NamedTuple):
    """A call (None: there is none), the database's time of reading it, and what keys were worth by then."""

    call: Call | None
    now: datetime
    era: Era


class Calls(Reader[Seen]):
    """One per process."""

    async def _fetch(self, ids: list[uuid.UUID]) -> Callable[[uuid.UUID], Seen]:
        connection, now, era, _ = await self._look()
        found = await intake.fetch(connection, ids)
        return lambda call_id: Seen(found.get(call_id), now, era)
