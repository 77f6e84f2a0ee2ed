"""Agents that wait for a person: one coroutine each, woken by NOTIFY, reading together."""

import asyncio
import contextlib
import uuid
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from approvals import intake
from approvals.intake import Held
from gateway.writer import SESSION, Unavailable

log = structlog.get_logger(__name__)


class Waiters:
    """One listening connection per process. When it breaks, everybody looks again as soon as it is back."""

    def __init__(self, conninfo: dict[str, Any]) -> None:
        self._conninfo = conninfo | SESSION | {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
        self._woken: dict[uuid.UUID, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None
        self.count = 0

    def start(self) -> None:
        self._task = asyncio.create_task(self._listen(), name="waiters")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @contextlib.contextmanager
    def watch(self, approval_id: uuid.UUID) -> Any:
        """An event that is set whenever this approval changes. Watch first, then read: nothing is missed."""
        event = asyncio.Event()
        self._woken.setdefault(approval_id, set()).add(event)
        self.count += 1
        try:
            yield event
        finally:
            self.count -= 1
            events = self._woken[approval_id]
            events.discard(event)
            if not events:
                del self._woken[approval_id]

    async def _listen(self) -> None:
        while True:
            try:
                connection = await AsyncConnection.connect(**self._conninfo, autocommit=True)
                async with connection:
                    await connection.execute(f"LISTEN {intake.CHANNEL}")
                    self._wake_all()
                    async for notice in connection.notifies():
                        self._wake(notice.payload)
            except (psycopg.Error, OSError) as error:
                log.warning("gateway.listen_lost", error=type(error).__name__)
            await asyncio.sleep(0.5)

    def _wake(self, payload: str) -> None:
        with contextlib.suppress(ValueError):  # a payload of somebody else's is no approval of ours
            for event in self._woken.get(uuid.UUID(payload), ()):
                event.set()

    def _wake_all(self) -> None:
        for events in self._woken.values():
            for event in events:
                event.set()


class Reader:
    """Reads approvals for whoever asks at the same moment, in one query, at the database's time."""

    def __init__(self, conninfo: dict[str, Any]) -> None:
        self._conninfo = conninfo | SESSION
        self._connection: AsyncConnection[Any] | None = None
        self._wanted: dict[uuid.UUID, list[asyncio.Future[tuple[Held | None, datetime]]]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="reader")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._connection:
            await self._connection.close()

    async def read(self, approval_id: uuid.UUID) -> tuple[Held | None, datetime]:
        """The approval, and the database's time of reading it. Raises Unavailable."""
        future: asyncio.Future[tuple[Held | None, datetime]] = asyncio.get_running_loop().create_future()
        self._wanted.setdefault(approval_id, []).append(future)
        self._wake.set()
        return await future

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            wanted, self._wanted = self._wanted, {}
            try:
                held, now = await self._fetch(list(wanted))
            except (psycopg.Error, OSError) as error:
                log.warning("gateway.read_failed", error=type(error).__name__)
                if self._connection:
                    with contextlib.suppress(psycopg.Error, OSError):
                        await self._connection.close()
                    self._connection = None
                for futures in wanted.values():
                    for future in futures:
                        if not future.done():
                            future.set_exception(Unavailable())
                continue
            for approval_id, futures in wanted.items():
                for future in futures:
                    if not future.done():
                        future.set_result((held.get(approval_id), now))

    async def _fetch(self, ids: list[uuid.UUID]) -> tuple[dict[uuid.UUID, Held], datetime]:
        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(**self._conninfo, autocommit=True)
        cursor = await self._connection.execute("SELECT clock_timestamp()")
        found = await cursor.fetchone()
        assert found is not None
        return await intake.fetch(self._connection, ids), found[0]
