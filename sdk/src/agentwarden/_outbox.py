"""Log entries the server could not take yet: kept in memory, in order, and sent when it is next reachable."""

from __future__ import annotations

import threading
from collections import deque

from ._requests import Request

MOST = 1000


class Outbox:
    """A bounded queue with one sender at a time. Safe to share between threads and tasks."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[Request] = deque()
        self._sending = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, request: Request) -> bool:
        """Queue an entry; False when the queue is full, and the entry is in the local log alone."""
        with self._lock:
            if len(self._waiting) >= self._most:
                return False
            self._waiting.append(request)
            return True

    def begin(self) -> bool:
        """Become the sender; False when there is nothing to send, or somebody else is sending."""
        with self._lock:
            if self._sending or not self._waiting:
                return False
            self._sending = True
            return True

    def first(self) -> Request | None:
        with self._lock:
            return self._waiting[0] if self._waiting else None

    def sent(self) -> None:
        """The first entry is settled: taken by the server, or refused for good."""
        with self._lock:
            self._waiting.popleft()

    def end(self) -> None:
        with self._lock:
            self._sending = False
