"""Agents that wait for a person: one coroutine each, woken by NOTIFY, reading together."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import psycopg
import structlog
from psycopg import AsyncConnection

from approvals import holding
from approvals import thread as threads
from approvals.holding import Held
from approvals.thread import Said
from audit.ids import read_id
from audit.receipts import SIGNED
from gateway.policies import Era, Policies
from gateway.writer import Unavailable, session

log = structlog.get_logger(__name__)
READ = 500  # approvals in one query
PATIENCE = 10.0  # seconds for one reading
LOOK = """
SELECT clock_timestamp(), value,
       (SELECT beat_at > clock_timestamp() - interval '10 seconds' AND refusal = '' FROM audit_sequencer)
FROM agents_epoch
"""


class Seen(NamedTuple):
    """An approval (None: there is none), the database's time of reading it, what keys were worth by then, and what
    was said about it."""

    held: Held | None
    now: datetime
    era: Era
    thread: list[Said]
    receipt: str = ""  # of its claim, once it is signed
    is_signing: bool = False  # whether a sequencer is at work


class Found(NamedTuple):
    """What one reading brought."""

    held: dict[uuid.UUID, Held]
    now: datetime
    era: Era
    threads: dict[uuid.UUID, list[Said]]
    receipts: dict[uuid.UUID, str]
    is_signing: bool

    def of(self, approval_id: uuid.UUID) -> Seen:
        thread, receipt = self.threads.get(approval_id, []), self.receipts.get(approval_id, "")
        return Seen(self.held.get(approval_id), self.now, self.era, thread, receipt, self.is_signing)


class Waiters:
    """One listening connection per process. When it breaks, everybody looks again as soon as it is back."""

    def __init__(self, conninfo: dict[str, Any]) -> None:
        self._conninfo = session(conninfo)
        self._woken: dict[uuid.UUID, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None
        self._of_key: Counter[uuid.UUID] = Counter()
        self.count = 0

    def start(self) -> None:
        self._task = asyncio.create_task(self._listen(), name="waiters")

    def full(self, key_id: uuid.UUID, places: int) -> bool:
        """Whether nobody with this key may come on top. One key leaves a tenth of the places to the others."""
        return self.count >= places or self._of_key[key_id] >= max(1, places - places // 10)

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @contextlib.contextmanager
    def watch(self, approval_id: uuid.UUID, key_id: uuid.UUID) -> Any:
        """An event that is set whenever this approval changes. Watch first, then read: nothing is missed."""
        event = asyncio.Event()
        self._woken.setdefault(approval_id, set()).add(event)
        self.count += 1
        self._of_key[key_id] += 1
        try:
            yield event
        finally:
            self.count -= 1
            self._of_key[key_id] -= 1
            if not self._of_key[key_id]:
                del self._of_key[key_id]
            events = self._woken[approval_id]
            events.discard(event)
            if not events:
                del self._woken[approval_id]

    async def _listen(self) -> None:
        while True:
            try:
                connection = await AsyncConnection.connect(**self._conninfo, autocommit=True)
                async with connection:
                    await connection.execute(f"LISTEN {holding.CHANNEL}")
                    await connection.execute(f"LISTEN {SIGNED}")
                    self._wake_all()
                    async for notice in connection.notifies():
                        self._wake(notice.payload)
            except Exception as error:  # whatever it is: nobody who waits may be forgotten
                log.warning("gateway.listen_lost", error=type(error).__name__)
            await asyncio.sleep(0.5)

    def _wake(self, payload: str) -> None:
        approval_id = read_id("apr", payload)  # a bare one when it was decided, apr_… when its receipt was signed
        for event in self._woken.get(approval_id, ()) if approval_id else ():
            event.set()

    def _wake_all(self) -> None:
        for events in self._woken.values():
            for event in events:
                event.set()


class Reader[S]:
    """Reads rows for whoever asks at the same moment, in one query, at the database's time and epoch."""

    def __init__(self, conninfo: dict[str, Any], policies: Policies) -> None:
        self._conninfo = session(conninfo)
        self._policies = policies
        self._connection: AsyncConnection[Any] | None = None
        self._wanted: dict[uuid.UUID, list[asyncio.Future[S]]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="reader")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._disconnect()

    async def read(self, row_id: uuid.UUID) -> S:
        """What that is as of now. Raises Unavailable."""
        future: asyncio.Future[S] = asyncio.get_running_loop().create_future()
        self._wanted.setdefault(row_id, []).append(future)
        self._wake.set()
        return await future

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            wanted = {each: self._wanted.pop(each) for each in list(islice(self._wanted, READ))}
            if not self._wanted:
                self._wake.clear()
            found = await self._try(list(wanted))
            for row_id, futures in wanted.items():
                for future in futures:
                    if future.done():
                        continue
                    if found is None:
                        future.set_exception(Unavailable())
                    else:
                        future.set_result(found(row_id))

    async def _try(self, ids: list[uuid.UUID]) -> Callable[[uuid.UUID], S] | None:
        """Reads, once more where the connection had died since it was last used; None where it cannot be read."""
        for last in (False, True):
            fresh = self._connection is None
            try:
                async with asyncio.timeout(PATIENCE):
                    return await self._fetch(ids)
            except Exception as error:  # whatever it is: those who wait must be told
                await self._disconnect()
                if last or fresh or not isinstance(error, psycopg.OperationalError):
                    log.warning("gateway.read_failed", error=type(error).__name__)
                    break
        return None

    async def _fetch(self, ids: list[uuid.UUID]) -> Callable[[uuid.UUID], S]:
        """Reads them all. Returns what gives each."""
        raise NotImplementedError

    async def _look(self) -> tuple[AsyncConnection[Any], datetime, Era, bool]:
        """The connection, the time, what keys are worth by then, and whether a sequencer is at work."""
        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(**self._conninfo, autocommit=True)
            self._policies.forget()
        cursor = await self._connection.execute(LOOK)
        found = await cursor.fetchone()
        if found is None:
            raise RuntimeError("agents_epoch is empty: the database is not migrated")
        now, epoch, is_signing = found
        return self._connection, now, self._policies.at(epoch), bool(is_signing)

    async def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await self._connection.close()
            self._connection = None


class Approvals(Reader[Seen]):
    """Approvals with their threads and receipts."""

    async def _fetch(self, ids: list[uuid.UUID]) -> Callable[[uuid.UUID], Seen]:
        connection, now, era, is_signing = await self._look()
        held = await holding.fetch(connection, ids)
        claimed = {each.approval_id: each.id for each in held.values() if each.claimed_at}
        receipts = {}
        if claimed:
            signed = await connection.execute(
                "SELECT target, token FROM audit_receipt WHERE target = ANY(%s)", [list(claimed)]
            )
            receipts = {claimed[target]: token async for target, token in signed}
        thread = await threads.read(connection, held.values())
        return Found(held, now, era, thread, receipts, is_signing).of
