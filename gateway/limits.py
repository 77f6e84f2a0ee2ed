"""Requests a minute and key: counted in Redis, in PostgreSQL while Redis is away, and never not at all.

What arrives while one round trip runs is counted together in the next, so that a check costs no round trip of its own.
"""

import asyncio
import contextlib
import time
import uuid
from typing import Any, NamedTuple

import psycopg
import redis.asyncio
import structlog
from psycopg import AsyncConnection
from redis.exceptions import RedisError

from gateway.writer import Unavailable, session

log = structlog.get_logger(__name__)
WINDOW = 60  # seconds
RETRY_REDIS = 2.0  # seconds
REDIS_PATIENCE = 0.1  # seconds for an answer: who hangs is away, and no check waits for more than this, once
PATIENCE = 5.0  # seconds for one counting


class Quota(NamedTuple):
    """What is left of a key's minute; `remaining` below zero: refused. `reset` is in seconds."""

    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return (
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % max(self.remaining, 0)),
            (b"x-ratelimit-reset", b"%d" % self.reset),
        )


class Limits:
    """One per process; the counts are shared by all."""

    def __init__(self, redis_url: str, conninfo: dict[str, Any]) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            redis_url, socket_timeout=REDIS_PATIENCE, socket_connect_timeout=0.5, retry=None
        )
        self._conninfo = session(conninfo)
        self._connection: AsyncConnection[Any] | None = None
        self._redis_is_there = True
        self._looking: asyncio.Task[None] | None = None
        self._waiting: dict[uuid.UUID, list[tuple[asyncio.Future[int], int]]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="limits")

    async def stop(self) -> None:
        for task in filter(None, (self._task, self._looking)):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._redis.aclose()
        if self._connection:
            await self._connection.close()

    async def take(self, key_id: uuid.UUID, limit: int, number: int = 1) -> Quota:
        """Counts a request of `key_id` as `number`. Raises Unavailable where it could not be counted anywhere."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key_id, []).append((future, number))
        self._wake.set()
        place = await future
        return Quota(limit, limit - place, WINDOW - int(time.time()) % WINDOW)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, {}
            try:
                async with asyncio.timeout(PATIENCE):
                    counts = await self._count({key: sum(each[1] for each in asked) for key, asked in waiting.items()})
            except Exception as error:  # whatever it is: those who wait must be told
                log.warning("gateway.limits_unavailable", error=type(error).__name__)
                await self._drop()
                for asked in waiting.values():
                    for future, _ in asked:
                        if not future.done():
                            future.set_exception(Unavailable())
                continue
            for key, asked in waiting.items():
                place = counts[key] - sum(number for _, number in asked)
                for future, number in asked:
                    place += number
                    if not future.done():
                        future.set_result(place)

    async def _count(self, wanted: dict[uuid.UUID, int]) -> dict[uuid.UUID, int]:
        """Adds to the counts of this minute and returns them."""
        if self._redis_is_there:
            try:
                return await self._count_in_redis(wanted)
            except (RedisError, OSError) as error:
                self._redis_is_there = False
                self._looking = asyncio.create_task(self._look_for_redis(), name="looking for Redis")
                log.warning("gateway.redis_away", error=type(error).__name__)
        return await self._count_in_postgres(wanted)

    async def _look_for_redis(self) -> None:
        """Asks until it answers, beside the checks: none of them waits for a Redis that hangs."""
        while not self._redis_is_there:
            await asyncio.sleep(RETRY_REDIS)
            with contextlib.suppress(RedisError, OSError):  # away still
                self._redis_is_there = bool(await self._redis.ping())
        log.info("gateway.redis_back")

    async def _count_in_redis(self, wanted: dict[uuid.UUID, int]) -> dict[uuid.UUID, int]:
        minute = int(time.time()) // WINDOW
        async with self._redis.pipeline(transaction=False) as pipe:
            for key, number in wanted.items():
                name = f"warden:rate:{key.hex}:{minute}"
                pipe.incrby(name, number)
                pipe.expire(name, 2 * WINDOW)
            answers = await pipe.execute()
        return dict(zip(wanted, answers[::2], strict=True))

    async def _count_in_postgres(self, wanted: dict[uuid.UUID, int]) -> dict[uuid.UUID, int]:
        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(**self._conninfo, autocommit=True)
            # Counts of a minute may be lost with a crash of the database: no check waits for the disk because of them.
            await self._connection.execute("SET synchronous_commit = off")
        keys = sorted(wanted)
        cursor = await self._connection.execute(
            "INSERT INTO gateway_ratewindow AS w (key_id, minute, count)"
            " SELECT key, floor(extract(epoch FROM clock_timestamp()) / 60)::bigint, number"
            " FROM unnest(%s::uuid[], %s::int[]) AS t (key, number)"
            " ON CONFLICT (key_id, minute) DO UPDATE SET count = w.count + excluded.count RETURNING key_id, count",
            [keys, [wanted[key] for key in keys]],
        )
        return {key: count async for key, count in cursor}

    async def _drop(self) -> None:
        if self._connection:
            with contextlib.suppress(psycopg.Error, OSError):
                await self._connection.close()
            self._connection = None
