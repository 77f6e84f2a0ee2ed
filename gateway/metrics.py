"""What the agents' door counts.

Counting on the way of a check touches plain memory only: a shared file costs several microseconds each time, and one
that cannot be written must not come between a commit and its answer. A task writes the sums twice a second.

Requests with test keys are left out, save for those the server itself failed. Labels come from what the organization
keeps (agents' slugs, permissions' names), never from what an agent sends, and are at most LABEL_SETS a metric.
"""

import asyncio
import contextlib
from bisect import bisect_left
from collections.abc import Callable

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
SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

EVENTS = {
    "agent:approval:claim": ("claimed",),
    "agent:approval:cancel": ("cancelled",),
    "system:approval:expired": ("expired",),
}

type Labels = tuple[str, ...]


class Sums:
    """A counter that is added to in memory. `keep` says which labels survive where there are too many sets of them."""

    def __init__(self, metric: Counter, keep: Callable[[Labels], Labels] = lambda labels: labels) -> None:
        self._metric = metric
        self._keep = keep
        self._new: dict[Labels, int] = {}
        self._children: dict[Labels, Counter] = {}

    def add(self, labels: Labels = (), number: int = 1) -> None:
        """Counts; cannot fail."""
        self._new[labels] = self._new.get(labels, 0) + number

    def write(self) -> None:
        """Adds what is new to the metric."""
        new, self._new = self._new, {}
        for labels, number in new.items():
            self._child(labels).inc(number)

    def _child(self, labels: Labels) -> Counter:
        if not labels:
            return self._metric
        child = self._children.get(labels)
        if child is None:
            if len(self._children) >= LABEL_SETS:
                labels = self._keep(labels)
            child = self._children[labels] = self._metric.labels(*labels)
        return child


class Spread:
    """A histogram that is added to in memory."""

    def __init__(self, metric: Histogram) -> None:
        self._metric = metric
        self._bounds: list[float] = metric._upper_bounds  # the last is infinity
        self._new = [0] * len(self._bounds)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Counts; cannot fail."""
        self._new[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def write(self) -> None:
        """Adds what is new to the metric, as so many calls of observe() would."""
        new, self._new = self._new, [0] * len(self._bounds)
        total, self._sum = self._sum, 0.0
        if any(new):
            self._metric._sum.inc(total)
            for bucket, number in zip(self._metric._buckets, new, strict=True):
                if number:
                    bucket.inc(number)


checks = Sums(
    Counter(
        "agentwarden_checks_total",
        "Live checks: allowed, denied, pending, refused (no such agent for this key), repeated (under one idempotency"
        " key); action is the permission that matched",
        ["agent_id", "action", "result"],
    ),
    lambda labels: (OTHER, OTHER, labels[2]),
)
denials = Sums(
    Counter("agentwarden_denials_total", "Live checks denied; action is the permission that matched", ["action"]),
    lambda _: (OTHER,),
)
durations = Spread(
    Histogram("agentwarden_check_duration_seconds", "Live checks, from the request read to its answer", buckets=SECONDS)
)
requests = Sums(
    Counter("agentwarden_requests_total", "Requests of agents, by what they asked for", ["endpoint", "status"])
)
errors = Sums(Counter("agentwarden_errors_total", "Answers to agents that are errors", ["kind"]))
rate_limited = Sums(Counter("agentwarden_rate_limited_total", "Live requests refused with 429"))
batches = Spread(
    Histogram("agentwarden_writer_batch_size", "Jobs in one transaction", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256))
)
commits = Spread(
    Histogram("agentwarden_writer_commit_seconds", "One transaction of the writer, begin to commit", buckets=SECONDS)
)
recorded = Sums(RECORD_EVENTS)
approvals = Sums(APPROVALS)
policy_reloads = Sums(Counter("agentwarden_policy_reloads_total", "Policies read anew, because something changed"))
WAITING = Gauge(
    "agentwarden_waiting_agents", "Agents that wait for a person in this moment", multiprocess_mode="livesum"
)
ALL = (
    checks,
    denials,
    durations,
    requests,
    errors,
    rate_limited,
    batches,
    commits,
    recorded,
    approvals,
    policy_reloads,
)


def checked(labels: Labels, seconds: float) -> None:
    """One live check was answered: (agent, permission, result)."""
    checks.add(labels)
    durations.add(seconds)
    if labels[2] == "denied":
        denials.add((labels[1],))


def committed(jobs: int, seconds: float) -> None:
    """One transaction of the writer ended well."""
    batches.add(jobs)
    commits.add(seconds)


def wrote(rows: list[Row]) -> None:
    """These events are durable."""
    recorded.add((), len(rows))
    for row in rows:
        if row.kind in EVENTS and row.mode == "live":
            approvals.add(EVENTS[row.kind])


def requested(mode: str) -> None:
    """A request that waits for people is durable."""
    if mode == "live":
        approvals.add(("requested",))


def answered(endpoint: str, status: int, *, test: bool) -> None:
    """One request was answered."""
    if test and status < 500:
        return
    requests.add((endpoint, str(status)))
    if status == 429:
        rate_limited.add()
    elif status >= 400:
        errors.add((ERRORS.get(status, OTHER),))


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
        """Writes all of it, now. Without room for the shared files numbers are lost; decisions are not."""
        try:
            for each in ALL:
                each.write()
            WAITING.set(self._waiting())
        except OSError as error:
            log.warning("gateway.metrics_lost", error=type(error).__name__)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            self.write()
