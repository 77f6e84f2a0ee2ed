"""A small, short-lived memory of answers the server marked as cacheable: unconditional allows and denials.

Keyed by policy version, agent, action and canonical context. The version looked up is the newest one this client was
told for the agent, so that the first answer under a new policy puts everything older out of reach. An approval, in
any state, is never remembered. Safe to share between threads.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from ._models import CheckResult


class Cache:
    """`ttl` in seconds (0: remembers nothing), `size` in answers; the least recently used goes first."""

    def __init__(self, ttl: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl
        self._size = size
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[str, str, str, str], tuple[float, CheckResult]] = OrderedDict()
        self._versions: OrderedDict[str, str] = OrderedDict()
        self._generation = 0

    @property
    def on(self) -> bool:
        return self._ttl > 0

    @property
    def generation(self) -> int:
        """Changes with every `clear`: an answer asked for before it is not kept after it."""
        return self._generation

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, agent_id: str, action: str, context: str) -> CheckResult | None:
        with self._lock:
            version = self._versions.get(agent_id)
            if version is None:
                return None
            key = (version, agent_id, action, context)
            until, result = self._answers.get(key, (0.0, None))
            if result is None:
                return None
            if self._clock() >= until:
                del self._answers[key]
                return None
            self._answers.move_to_end(key)
            return replace(result, cached=True)

    def put(
        self, agent_id: str, action: str, context: str, result: CheckResult, *, asked_at: float, generation: int
    ) -> None:
        """Keep an answer for `ttl` seconds from when it was asked for; every answer teaches the policy's version."""
        if not self.on or not result.policy_version:
            return
        with self._lock:
            if generation != self._generation:
                return
            self._versions[agent_id] = result.policy_version
            self._versions.move_to_end(agent_id)
            if len(self._versions) > self._size:
                self._versions.popitem(last=False)
            if result.cacheable and not (result.requires_approval or result.approval_id or result.fail_open):
                key = (result.policy_version, agent_id, action, context)
                self._answers[key] = (asked_at + self._ttl, result)
                self._answers.move_to_end(key)
                if len(self._answers) > self._size:
                    self._answers.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._answers.clear()
            self._versions.clear()
            self._generation += 1
