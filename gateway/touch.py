"""When each key was last used: kept in memory, written now and then, never on the way of a check."""

import asyncio
import contextlib
import uuid

import structlog
from django.db import connection, transaction
from django.db.models.functions import Now

from agents.models import ApiKey
from audit.leaf import Actor
from audit.record import record

log = structlog.get_logger(__name__)
EVERY = 20.0  # seconds


class Touch:
    """One per process."""

    def __init__(self) -> None:
        self._used: set[uuid.UUID] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="touch")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def used(self, key_id: uuid.UUID) -> None:
        """Remembers that this key was used."""
        self._used.add(key_id)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            used, self._used = self._used, set()
            if used:
                try:
                    await asyncio.to_thread(write, used)
                except Exception as error:  # whatever it is: the next round tries again
                    self._used |= used
                    log.warning("gateway.touch_failed", error=type(error).__name__)


def write(used: set[uuid.UUID]) -> None:
    """Writes the times; the first use of a key is an event of its own."""
    try:
        with transaction.atomic():
            keys = ApiKey.objects.filter(id__in=used)
            for key in keys.filter(last_used_at=None).select_for_update(of=("self",)).select_related("agent"):
                slug = key.agent.slug if key.agent else ""
                record(
                    kind="agent:key:first_use",
                    organization_id=key.organization_id,
                    mode=key.mode,  # type: ignore[arg-type]
                    actor=Actor("agent", str(key.id), slug),
                    agent=slug,
                    data={"name": key.name, "last4": key.last4},
                )
            keys.update(last_used_at=Now())
    finally:
        connection.close()
