"""Keys and policies in memory, good for one epoch: the writer says when the epoch has moved."""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, close_old_connections, connection

from accounts.models import Organization
from agents.load import KeyFacts, Loaded, find_key, load
from gateway.writer import Unavailable

KEYS_KEPT = 50_000


def _in_thread[T](function: Callable[..., T], *arguments: Any) -> T:
    """Runs a Django query in a worker thread, and gives the connection back to the pool. Raises Unavailable."""
    close_old_connections()
    try:
        return function(*arguments)
    except DatabaseError as error:
        raise Unavailable from error
    finally:
        connection.close()


class Policies:
    """One per process. What it holds was read at or after `epoch`; a moved epoch empties it."""

    def __init__(self) -> None:
        self.epoch = -1
        self._keys: OrderedDict[bytes, KeyFacts] = OrderedDict()
        self._loaded: dict[uuid.UUID, Loaded] = {}
        self._loading = asyncio.Lock()

    def move_to(self, epoch: int) -> None:
        """Forgets everything read before `epoch`."""
        if epoch != self.epoch:
            self._keys.clear()
            self._loaded.clear()
            self.epoch = epoch

    def known(self, organization_id: uuid.UUID) -> Loaded | None:
        """The organization's policy, where it is in memory."""
        return self._loaded.get(organization_id)

    async def of(self, organization_id: uuid.UUID) -> Loaded | None:
        """The organization's policy, read now if need be; None when there is no such organization."""
        loaded = self._loaded.get(organization_id)
        if loaded is None:
            async with self._loading:
                loaded = self._loaded.get(organization_id)
                if loaded is None:
                    epoch = self.epoch
                    try:
                        loaded = await asyncio.to_thread(_in_thread, load, organization_id)
                    except Organization.DoesNotExist:
                        return None
                    if epoch == self.epoch:
                        self._loaded[organization_id] = loaded
        return loaded

    async def key(self, key_hash: bytes) -> KeyFacts | None:
        """The key, read now if need be. An unknown one is asked for each time: it may have been made since."""
        facts = self._keys.get(key_hash)
        if facts is None:
            epoch = self.epoch
            facts = await asyncio.to_thread(_in_thread, find_key, key_hash)
            if facts is not None and epoch == self.epoch:
                self._keys[key_hash] = facts
                if len(self._keys) > KEYS_KEPT:
                    self._keys.popitem(last=False)
        return facts

    def cached_key(self, key_hash: bytes) -> KeyFacts | None:
        """The key, where it is in memory."""
        return self._keys.get(key_hash)
