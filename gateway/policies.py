"""Keys and policies in memory, good for one epoch: whoever reads the epoch asks for what is at least as new as that."""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import structlog
from django.db import DatabaseError, close_old_connections, connection

from accounts.models import Organization
from agents.load import KeyFacts, Loaded, find_keys, load
from gateway import metrics
from gateway.writer import Unavailable

log = structlog.get_logger(__name__)
KEYS_KEPT = 50_000
KEYS_AT_ONCE = 1_000  # in one query
PATIENCE = 8.0  # seconds for one reading
RETRY = 5.0  # seconds after a policy could not be read


def _in_thread[T](function: Callable[..., T], *arguments: Any) -> T:
    """Runs a Django query in a worker thread, and gives the connection back to the pool. Raises Unavailable."""
    close_old_connections()
    try:
        return function(*arguments)
    except DatabaseError as error:
        raise Unavailable from error
    except Exception as error:  # such as a policy that cannot be compiled: its organization waits, and nobody else
        log.error("gateway.read_failed", reading=function.__name__, exc_info=error)
        raise Unavailable from error
    finally:
        connection.close()


def _load(organization_id: uuid.UUID) -> Loaded | None:
    try:
        return load(organization_id)
    except Organization.DoesNotExist:
        return None


class Reads:
    """Reads keys and policies for all eras, on threads of its own."""

    def __init__(self) -> None:
        self.loading = asyncio.Lock()  # one policy at a time: compiling takes the processor
        self._threads = ThreadPoolExecutor(4, "policies")
        self._wanted: dict[bytes, list[asyncio.Future[KeyFacts | None]]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def policy(self, organization_id: uuid.UUID) -> Loaded | None:
        """The organization's policy as of now or later; None where there is no such organization."""
        loaded = await self._run(_load, organization_id)
        metrics.reloaded()
        return loaded

    async def key(self, key_hash: bytes) -> KeyFacts | None:
        """The key as of now or later. Who asks while others are read is read with the next: made-up keys, however
        many, cost one query after the other, and leave the threads to those who have a key."""
        future: asyncio.Future[KeyFacts | None] = asyncio.get_running_loop().create_future()
        self._wanted.setdefault(key_hash, []).append(future)
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_keys(), name="keys")
        return await future

    async def _read_keys(self) -> None:
        try:
            while self._wanted:
                wanted = {each: self._wanted.pop(each) for each in list(islice(self._wanted, KEYS_AT_ONCE))}
                found: dict[bytes, KeyFacts] | Unavailable
                try:
                    found = await self._run(find_keys, list(wanted))
                except Unavailable as error:
                    found = error
                for key_hash, futures in wanted.items():
                    for future in futures:
                        if future.done():
                            continue
                        if isinstance(found, Unavailable):
                            future.set_exception(Unavailable())
                        else:
                            future.set_result(found.get(key_hash))
        finally:
            self._reading = None

    async def _run[T](self, function: Callable[..., T], *arguments: Any) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE):
                return await loop.run_in_executor(self._threads, _in_thread, function, *arguments)
        except TimeoutError as error:
            raise Unavailable from error

    def stop(self) -> None:
        """Lets go of the threads; what they read is for nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Era:
    """What was read since somebody read one epoch. Never mixed with another's, whichever comes first."""

    __slots__ = ("_failed", "_keys", "_loaded", "_reads", "epoch")

    def __init__(self, epoch: int, reads: Reads) -> None:
        self.epoch = epoch
        self._reads = reads
        self._keys: OrderedDict[bytes, KeyFacts] = OrderedDict()
        self._loaded: dict[uuid.UUID, Loaded] = {}
        self._failed: dict[uuid.UUID, float] = {}

    def known(self, organization_id: uuid.UUID) -> Loaded | None:
        """The organization's policy, where it is in memory."""
        return self._loaded.get(organization_id)

    async def of(self, organization_id: uuid.UUID) -> Loaded | None:
        """The organization's policy, read now if need be; None when there is no such organization.

        Raises Unavailable where it cannot be read; then again for a while without trying, as others are waiting.
        """
        loaded = self._loaded.get(organization_id)
        if loaded is None:
            now = asyncio.get_running_loop().time
            async with self._reads.loading:
                if now() < self._failed.get(organization_id, 0.0):
                    raise Unavailable
                try:
                    loaded = self._loaded.get(organization_id) or await self._reads.policy(organization_id)
                except Unavailable:
                    self._failed[organization_id] = now() + RETRY
                    raise
                if loaded is not None:
                    self._loaded[organization_id] = loaded
        return loaded

    def cached_key(self, key_hash: bytes) -> KeyFacts | None:
        """The key, where it is in memory."""
        return self._keys.get(key_hash)

    async def key(self, key_hash: bytes) -> KeyFacts | None:
        """The key, read now if need be. One that opens nothing is asked for each time: since this epoch it may have
        been made, or its agent's ban lifted."""
        facts = self._keys.get(key_hash)
        if facts is None:
            facts = await self._reads.key(key_hash)
            if facts is not None and not facts.revoked:
                self._keys[key_hash] = facts
                if len(self._keys) > KEYS_KEPT:
                    self._keys.popitem(last=False)
        return facts


class Policies:
    """One per process. `current` is the era of the latest reading of the epoch, by whichever connection."""

    def __init__(self) -> None:
        self._reads = Reads()
        self.current = Era(-1, self._reads)

    def at(self, epoch: int) -> Era:
        """What is at least as new as `epoch`, which was read just now."""
        if epoch != self.current.epoch:
            self.current = Era(epoch, self._reads)
        return self.current

    def forget(self) -> None:
        """A new connection may lead to another database, restored or failed over, whose epochs mean something else."""
        self.current = Era(-1, self._reads)

    def stop(self) -> None:
        self._reads.stop()
