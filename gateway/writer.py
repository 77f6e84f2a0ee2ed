"""The group-commit writer: what arrives while one transaction commits goes together into the next.

A lane is one connection and one queue. Two lanes: `quick` for what only appends to the record, `careful` for what
locks approvals and idempotency keys, so that a lock somebody holds never delays a plain allow.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection, AsyncCursor

from audit import spans
from audit.leaf import COLUMNS, Entry, Row, row
from gateway import metrics
from notifications import hints

log = structlog.get_logger(__name__)
BATCH = 256  # jobs in one transaction
STUCK = 15.0  # seconds in which nothing could be committed, after which we are not ready
QUEUE = 16_384  # jobs that wait for one; what comes on top is refused at once
WAIT = 8.0  # seconds that a job waits to be begun: then its caller has given up, and would not hear of an allow
STALE = 0.5  # seconds that a transaction took, after which it looks at the epoch again before it commits
PATIENCE = 12.0  # seconds for one transaction, by our own clock: a dead peer answers no time-out of the server's
COPY = f"COPY audit_event ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
TYPES = [
    "uuid",
    "timestamptz",
    "uuid",
    "varchar",
    "varchar",
    "varchar",
    "varchar",
    "varchar",
    "varchar",
    "varchar",
    "varchar",
    "varchar",
    "text",
    "bytea",
]
OPTIONS = (
    "-c statement_timeout=5000 -c lock_timeout=2000 -c idle_in_transaction_session_timeout=10000"
    " -c timezone=UTC -c default_transaction_isolation=read\\ committed"
)
LOST_THE_RACE = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.SerializationFailure,
    psycopg.errors.QueryCanceled,
)
BEGIN = "BEGIN; SELECT clock_timestamp(), value FROM agents_epoch"


class Outdated(Exception):
    """The epoch moved while a transaction took its time: what it decided may not hold any more."""


class Unavailable(Exception):
    """The decision could not be made durable: 503, and never an allow."""


def session(conninfo: dict[str, Any]) -> dict[str, Any]:
    """`conninfo` for a connection of the gateway's own: with time-outs, and a peer that died noticed."""
    return conninfo | {
        "application_name": "warden-gateway",
        "options": f"{conninfo.get('options', '')} {OPTIONS}".strip(),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }


class Batch:
    """One open transaction: its connection, its time (the database's clock), its epoch, what it will record."""

    def __init__(self, connection: AsyncConnection[Any], now: datetime, epoch: int) -> None:
        self.connection = connection
        self.now = now
        self.epoch = epoch
        self.ordered_at: datetime | None = None  # up to when the record is in order: see gateway.lateness
        self.rows: list[Row] = []
        self.after: list[Callable[[], None]] = []  # what may only happen once this is durable

    def record(self, entry: Entry) -> Row:
        """Adds an event; it is written just before the commit."""
        made = row(entry, self.now)
        self.rows.append(made)
        return made

    def announced(self) -> None:
        """Somebody has to hear of this: the worker is told so as soon as it is durable."""
        if hints.now not in self.after:
            self.after.append(hints.now)


class Job[A]:
    """One request's work. `future` is answered after the commit, with what `answer` then holds."""

    __slots__ = ("answer", "future", "trace", "until")

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.future: asyncio.Future[A | None] = loop.create_future()
        self.answer: A | None = None
        self.until = loop.time() + WAIT
        self.trace = spans.here()

    def again(self) -> None:
        """Back to whoever waits, to be submitted anew: it went into a transaction without what that has to know."""
        if not self.future.done():
            self.future.set_result(None)

    def renew(self) -> None:
        """Makes a job that came back one that can be submitted."""
        self.future = asyncio.get_running_loop().create_future()

    def refuse(self) -> None:
        """503, unless it is answered already or nobody waits any more."""
        if not self.future.done():
            self.future.set_exception(Unavailable())


type Work[J] = Callable[[Batch, list[J]], Awaitable[None]]


def _trace(lane: str, jobs: list[Any], seconds: float) -> None:
    spans.happened("commit", seconds, (job.trace for job in jobs), lane=lane, jobs=len(jobs))


running: "set[Lane[Any]]" = set()  # in this process


class Lane[J: Job[Any]]:
    """Collects jobs and runs `work` over them, one transaction a batch."""

    def __init__(
        self, name: str, conninfo: dict[str, Any], work: Work[J], connected: Callable[[], None] = lambda: None
    ) -> None:
        self.name = name
        self._conninfo = session(conninfo)
        self._work = work
        self._connected = connected
        self._queue: list[J] = []
        self._wake = asyncio.Event()
        self._connection: AsyncConnection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self.batches = 0
        self._failing: tuple[float, float] | None = None  # first and last failure since something was committed

    def start(self) -> None:
        """Begins to work; the first batch connects."""
        running.add(self)
        self._task = asyncio.create_task(self._run(), name=f"lane-{self.name}")

    async def stop(self) -> None:
        """Finishes nothing: what waits is refused."""
        running.discard(self)
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._refuse(self._queue)
        self._queue = []
        await self._disconnect()

    def is_stuck(self, now: float) -> bool:
        """Whether all that was tried for STUCK seconds failed, up to now (time.monotonic()), through no job's fault."""
        if self._failing is None:
            return False
        first, last = self._failing
        return last - first > STUCK > now - last

    def _failed(self) -> None:
        now = time.monotonic()
        self._failing = (self._failing[0] if self._failing else now, now)

    def submit(self, job: J) -> None:
        """Queues `job`; await `job.future` for its answer. Raises Unavailable through the future, never itself."""
        if len(self._queue) >= QUEUE:
            job.refuse()
            return
        self._queue.append(job)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            jobs, self._queue = self._queue[:BATCH], self._queue[BATCH:]
            if not self._queue:
                self._wake.clear()
            jobs = [job for job in jobs if self._is_due(job)]
            try:
                if jobs:
                    await self._commit(jobs)
            except asyncio.CancelledError:
                self._refuse(jobs)
                raise

    def _is_due(self, job: J) -> bool:
        """Whether somebody still waits for it; who has waited too long is refused."""
        if asyncio.get_running_loop().time() > job.until:
            job.refuse()
        return not job.future.done()

    async def _commit(self, jobs: list[J]) -> None:
        """Runs `jobs` in one transaction. What one of them breaks is run again one by one, so that only it suffers."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                batch = await self._transaction(jobs)
        except Outdated:
            await self._disconnect()  # rolled back; what is still waited for is decided again, by what holds now
            if due := [job for job in jobs if self._is_due(job)]:
                await self._commit(due)
        except LOST_THE_RACE as error:
            # Rolled back for certain: nothing of it happened, and each may be tried alone.
            self._failed()
            await self._disconnect()
            await self._split(jobs, error)
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError, Unavailable) as error:
            # The connection, or a lock: nothing of this batch is known to be durable.
            self._failed()
            log.warning("gateway.batch_failed", lane=self.name, jobs=len(jobs), error=type(error).__name__)
            await self._disconnect()
            self._refuse(jobs)
        except Exception as error:
            await self._disconnect()
            await self._split(jobs, error)
        else:
            self.batches += 1
            self._failing = None
            metrics.committed(len(jobs), time.monotonic() - started)
            for job in jobs:
                # A job without an answer went on to another lane, and waits there.
                if job.answer is not None and not job.future.done():
                    job.future.set_result(job.answer)
            batch.after.append(partial(_trace, self.name, jobs, time.monotonic() - started))
            for then in batch.after:
                try:
                    then()
                except Exception as error:  # it is durable: nothing may run it again
                    log.error("gateway.after_failed", lane=self.name, exc_info=error)

    async def _split(self, jobs: list[J], error: Exception) -> None:
        if len(jobs) == 1:
            log.error("gateway.job_failed", lane=self.name, exc_info=error)
            self._refuse(jobs)
            return
        log.warning("gateway.batch_split", lane=self.name, jobs=len(jobs), error=type(error).__name__)
        for job in jobs:
            if self._is_due(job):
                await self._commit([job])

    async def _transaction(self, jobs: list[J]) -> Batch:
        began = time.monotonic()
        for job in jobs:
            job.answer = None
        connection, cursor = await self._begin()
        cursor.nextset()
        found = await cursor.fetchone()
        if found is None:
            raise RuntimeError("agents_epoch is empty: the database is not migrated")
        batch = Batch(connection, *found)
        await self._work(batch, jobs)
        if batch.rows:
            batch.after.append(partial(metrics.wrote, batch.rows))
            async with connection.cursor().copy(COPY) as copy:
                copy.set_types(TYPES)
                for made in batch.rows:
                    await copy.write_row(made)
        if time.monotonic() - began > STALE:  # it waited for a lock: a stop, say, may have been committed meanwhile
            cursor = await connection.execute("SELECT value FROM agents_epoch")
            if await cursor.fetchone() != (batch.epoch,):
                raise Outdated
        ended = await connection.execute("COMMIT")
        if ended.statusmessage != "COMMIT":  # PostgreSQL answers ROLLBACK to the COMMIT of a broken transaction
            raise RuntimeError(f"the transaction ended as {ended.statusmessage}")
        return batch

    async def _begin(self) -> tuple[AsyncConnection[Any], AsyncCursor[Any]]:
        """A transaction that has just begun. A connection that ended while nobody used it costs nobody an answer:
        nothing was done on it yet, so a new one may begin.
        """
        was_open = self._connection is not None
        connection = await self._connect()
        try:
            return connection, await connection.execute(BEGIN)
        except psycopg.OperationalError:
            if not was_open:
                raise
        await self._disconnect()
        connection = await self._connect()
        return connection, await connection.execute(BEGIN)

    async def _connect(self) -> AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(**self._conninfo, autocommit=True, prepare_threshold=2)
            self._connected()
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await self._connection.close()
            self._connection = None

    def _refuse(self, jobs: list[J]) -> None:
        for job in jobs:
            job.refuse()
