"""What the agents' door counts.

On the way of a check something is appended to a list, and nothing else: a shared file costs microseconds each time, and
one that cannot be written must not come between a commit and its answer. A task adds it all up twice a second.

Requests with test keys are left out, save for those the server itself failed. Labels come from what the organization
keeps (agents' slugs, permissions' names), never from what an agent sends, and are at most LABEL_SETS a metric.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections import Counter as count
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

from approvals.metrics import APPROVALS
from audit.leaf import Row
from audit.metrics import RECORD_EVENTS

log = structlog.get_logger(__name__)
EVERY = 0.5  # seconds
LABEL_SETS = 2_000  # of one metric, in one process; what comes later is counted as OTHER
OTHER = "other"
REPEATED = (OTHER, OTHER, "repeated")
REFUSED = (OTHER, OTHER, "refused")
ERRORS = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "not_found",
    409: "conflict",
    413: "malformed",
    422: "malformed",
    500: "internal",
    503: "unavailable",
}
EVENTS = {
    "agent:approval:claim": "claimed",
    "agent:approval:cancel": "cancelled",
    "system:approval:expired": "expired",
}
SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

CHECKS = Counter(
    "agentwarden_checks_total",
    "Live checks: allowed, denied, pending, refused (no such agent for this key) or repeated (under one idempotency"
    " key); action is the permission that matched",
    ["agent_id", "action", "result"],
)
DENIALS = Counter("agentwarden_denials_total", "Live checks denied; action is the permission that matched", ["action"])
DURATION = Histogram(
    "agentwarden_check_duration_seconds", "Live checks, from the request read to its answer", buckets=SECONDS
)
REQUESTS = Counter("agentwarden_requests_total", "Requests of agents, by what they asked for", ["endpoint", "status"])
FAILURES = Counter("agentwarden_errors_total", "Answers to agents that are errors", ["kind"])
RATE_LIMITED = Counter("agentwarden_rate_limited_total", "Live requests refused with 429")
BATCH_SIZE = Histogram(
    "agentwarden_writer_batch_size", "Jobs in one transaction", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
COMMIT = Histogram(
    "agentwarden_writer_commit_seconds", "One transaction of the writer, begin to commit", buckets=SECONDS
)
POLICY_RELOADS = Counter("agentwarden_policy_reloads_total", "Policies read anew, because something changed")
WAITING = Gauge(
    "agentwarden_waiting_agents", "Agents that wait for a person in this moment", multiprocess_mode="livesum"
)
EXTERNAL_OPA = Counter(
    "agentwarden_external_opa_total", "Live questions to external OPAs: allow, ask, deny, or failed", ["said"]
)
EXTERNAL_OPA_SECONDS = Histogram(
    "agentwarden_external_opa_seconds", "What external OPAs took to answer live questions", buckets=SECONDS
)

AUTHZ_DENIED = Counter(
    "agentweave_authz_denied_total",
    "Live questions of OPA clients that were not allowed, and SVIDs that were refused, by why",
    ["reason"],
)
CAPABILITY_CALLS = Counter(
    "agentweave_capability_calls_total",
    "Live questions of OPA clients; capability is the permission that matched, without agentweave.",
    ["capability"],
)

ROTATION_ERRORS = Counter(
    "agentweave_svid_rotation_errors_total",
    "Agents that came with an SVID that had expired; warden: a bundle or certificate of its own that could not be read",
    ["agent"],
)
SVID_TTL = Gauge(
    "agentweave_svid_ttl_seconds",
    "Seconds that an agent's SVID still lasted when it came last; warden: the certificate of its listener",
    ["agent"],
    multiprocess_mode="mostrecent",
)

# Prometheus sees how much a count grew only where it saw it before: those that alerts ask for begin at none.
for _kind in ERRORS.values():
    FAILURES.labels(_kind)
CHECKS.labels(*REFUSED)
for _reason in ("unknown_caller", "no_permission"):
    AUTHZ_DENIED.labels(_reason)
ROTATION_ERRORS.labels("warden")
for _said in ("allow", "ask", "deny", "failed"):
    EXTERNAL_OPA.labels(_said)

type Labels = tuple[str, str, str]

# What happened since the sums were last written.
_checks: list[Labels] = []
_seconds: list[float] = []
_requests: list[tuple[str, int]] = []
_batches: list[int] = []
_commits: list[float] = []
_rows: list[int] = []
_approvals: list[str] = []
_reloads: list[None] = []
_capabilities: list[str] = []
_authz_denied: list[str] = []
_rotation_errors: list[str] = []
_svid_ttls: dict[str, float] = {}
_said_outside: list[str] = []
_seconds_outside: list[float] = []


def checked(labels: Labels, seconds: float) -> None:
    """One live check was answered: agent, permission, result."""
    _checks.append(labels)
    _seconds.append(seconds)


def questioned(capability: str, denied: str) -> None:
    """One live question of an OPA client was answered; `denied` is why it was not allowed, or empty."""
    _capabilities.append(capability)
    if denied:
        _authz_denied.append(denied)


def refused_svid(reason: str) -> None:
    """An SVID opened nothing."""
    _authz_denied.append(reason)


def rotation_failed(agent: str) -> None:
    """An agent's SVID was not renewed in time, or what is Warden's own could not be read."""
    _rotation_errors.append(agent)


def svid_seen(agent: str, seconds: float) -> None:
    """So long an agent's SVID will last."""
    _svid_ttls[agent] = seconds


def gated(said: str, seconds: float) -> None:
    """One live question to an external OPA was answered, or failed."""
    _said_outside.append(said)
    _seconds_outside.append(seconds)


def answered(endpoint: str, status: int, *, test: bool) -> None:
    """One request was answered."""
    if not test or status >= 500:
        _requests.append((endpoint, status))


def committed(jobs: int, seconds: float) -> None:
    """One transaction of the writer ended well."""
    _batches.append(jobs)
    _commits.append(seconds)


def wrote(rows: list[Row]) -> None:
    """These events are durable."""
    _rows.append(len(rows))
    for row in rows:
        if row.kind in EVENTS and row.mode == "live":
            _approvals.append(EVENTS[row.kind])


def requested(mode: str) -> None:
    """A request that waits for people is durable."""
    if mode == "live":
        _approvals.append("requested")


def reloaded() -> None:
    """A policy was read."""
    _reloads.append(None)


class Meter:
    """Writes what was counted. One per process."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._waiting = waiting
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="meter")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.write()

    def write(self) -> None:
        """Writes all of it, now. Where the shared files have no room numbers are lost; decisions are not."""
        try:
            write()
            WAITING.set(self._waiting())
        except Exception as error:
            log.error("gateway.metrics_lost", exc_info=error)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            self.write()


def write() -> None:
    """Adds what happened to the metrics that Prometheus reads."""
    for (agent, action, result), number in count(_taken(_checks)).items():
        labelled(CHECKS, agent, action, result).inc(number)
        if result == "denied":
            labelled(DENIALS, action).inc(number)
    for (endpoint, status), number in count(_taken(_requests)).items():
        REQUESTS.labels(endpoint, str(status)).inc(number)
        if status == 429:
            RATE_LIMITED.inc(number)
        elif status >= 400:
            FAILURES.labels(ERRORS.get(status, OTHER)).inc(number)
    for event, number in count(_taken(_approvals)).items():
        APPROVALS.labels(event).inc(number)
    for capability, number in count(_taken(_capabilities)).items():
        labelled(CAPABILITY_CALLS, capability).inc(number)
    for reason, number in count(_taken(_authz_denied)).items():
        AUTHZ_DENIED.labels(reason).inc(number)
    for agent, number in count(_taken(_rotation_errors)).items():
        labelled(ROTATION_ERRORS, agent).inc(number)
    for said, number in count(_taken(_said_outside)).items():
        EXTERNAL_OPA.labels(said).inc(number)
    observe(EXTERNAL_OPA_SECONDS, _taken(_seconds_outside))
    while _svid_ttls:
        agent, seconds = _svid_ttls.popitem()
        labelled(SVID_TTL, agent).set(seconds)
    observe(DURATION, _taken(_seconds))
    observe(BATCH_SIZE, _taken(_batches))
    observe(COMMIT, _taken(_commits))
    rows = _taken(_rows)
    RECORD_EVENTS.inc(sum(rows))
    POLICY_RELOADS.inc(len(_taken(_reloads)))


def _taken[T](happened: list[T]) -> list[T]:
    taken = happened.copy()
    happened.clear()
    return taken


_children: dict[Counter | Gauge, dict[tuple[str, ...], Any]] = {}


def labelled[M: (Counter, Gauge)](metric: M, *labels: str) -> M:
    """The metric with these labels. Those past LABEL_SETS lose all but the result, which is one of a few words."""
    children = _children.setdefault(metric, {})
    child: M | None = children.get(labels)
    if child is None:
        if len(children) >= LABEL_SETS:
            kept = labels[-1:] if metric is CHECKS else ()
            return metric.labels(*[OTHER] * (len(labels) - len(kept)), *kept)
        child = children[labels] = metric.labels(*labels)
    return child


def observe(metric: Histogram, values: list[int] | list[float]) -> None:
    """As metric.observe() of each, in one step. Sorts `values`."""
    if not values:
        return
    metric._sum.inc(sum(values))
    values.sort()
    reached = [0, *(bisect_right(values, bound) for bound in metric._upper_bounds)]
    for bucket, (before, upto) in zip(metric._buckets, pairwise(reached), strict=True):
        if upto > before:
            bucket.inc(upto - before)
