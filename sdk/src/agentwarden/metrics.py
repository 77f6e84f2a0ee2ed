"""Prometheus metrics of a client: the extra `prometheus`.

    from agentwarden import AgentWarden
    from agentwarden.metrics import PrometheusMetrics

    guard = AgentWarden(observers=[PrometheusMetrics()])

agentwarden_checks_total{agent_id, action, result}   result: allowed, denied, pending or error
agentwarden_check_duration_seconds                   of checks, retries included; answers from the cache are left out
agentwarden_cache_hits_total                         checks answered from the cache
agentwarden_errors_total{type}                       by the error's class: RateLimitError, NetworkError …
agentwarden_approvals_pending                        approvals this process waits for
agentwarden_approval_wait_seconds                    how long it waited for those that ended
"""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from ._observe import Finish, outcome

WAITS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)  # seconds


class PrometheusMetrics:
    """An observer that counts. Make one for each registry, and share it between clients.

    Labels hold the names of agents and actions, which your program chooses; nothing of a context ever becomes one.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._checks = Counter(
            "agentwarden_checks", "Permission checks", ["agent_id", "action", "result"], registry=registry
        )
        self._seconds = Histogram("agentwarden_check_duration_seconds", "Duration of a check", registry=registry)
        self._hits = Counter("agentwarden_cache_hits", "Checks answered from the cache", registry=registry)
        self._errors = Counter("agentwarden_errors", "Calls that ended in an error", ["type"], registry=registry)
        self._pending = Gauge("agentwarden_approvals_pending", "Approvals this process waits for", registry=registry)
        self._waited = Histogram(
            "agentwarden_approval_wait_seconds", "Time until an approval ended", buckets=WAITS, registry=registry
        )

    def check(self, agent_id: str, action: str) -> Finish:
        """Counts a check and times it."""
        started = time.monotonic()

        def finish(result: Any, error: BaseException | None) -> None:
            self._checks.labels(agent_id, action, outcome(result, error)).inc()
            if error is not None:
                self._errors.labels(type(error).__name__).inc()
            if result is not None and result.cached:
                self._hits.inc()
            else:
                self._seconds.observe(time.monotonic() - started)

        return finish

    def wait(self, approval_id: str) -> Finish:
        """Counts who waits, and times the waits that ended in a decision or an expiry."""
        started = time.monotonic()
        self._pending.inc()

        def finish(result: Any, error: BaseException | None) -> None:
            self._pending.dec()
            if error is not None:
                self._errors.labels(type(error).__name__).inc()
            elif result is not None and not result.pending:
                self._waited.observe(time.monotonic() - started)

        return finish
