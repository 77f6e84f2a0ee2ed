"""/metrics: what every process counted, and what the database says of this moment, for Prometheus.

With PROMETHEUS_MULTIPROC_DIR (script/run sets it) all processes count into files of one folder, and any of them can
tell the sum. Without it a process tells what it counted itself.
"""

import ipaddress
import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import structlog
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

import gateway.metrics  # noqa: F401 - defines what the door counts
from approvals.metrics import backlog
from audit import lag
from audit.clock import database_now
from notifications.metrics import queue_ages
from notifications.publishing.publish import failing_for
from notifications.streams import lag as streams

log = structlog.get_logger(__name__)
FRESH = 5.0  # seconds that an answer of the database is told again
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


class Now(Collector):
    """Gauges read from the database: the same whichever process is asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._told: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        with self._lock:  # one question at a time, whoever asks meanwhile gets its answer
            if time.monotonic() >= self._until:
                self._told = self._ask()
                self._until = time.monotonic() + FRESH
            return self._told

    def _ask(self) -> list[Metric]:
        try:
            now = database_now()
            waiting, ages, behind = backlog(now), queue_ages(now), lag.seconds(now)
            unpublished = failing_for(now)
            record, streamed, failing = lag.state(now), streams.seconds(now), streams.failing()
        except Error as error:
            log.warning("metrics.database_unreachable", error=type(error).__name__)
            return [_gauge("database_up", "1 while the database answers", 0)]
        queues = GaugeMetricFamily(
            "agentwarden_queue_age_seconds",
            "How long the oldest is overdue: announcements to be worked out, deliveries to be sent",
            labels=["queue"],
        )
        for queue, age in ages.items():
            queues.add_metric([queue], age.total_seconds())
        return [
            _gauge("database_up", "1 while the database answers", 1),
            _gauge("approvals_pending", "Live requests that wait for people", waiting.number),
            _gauge(
                "approvals_oldest_pending_seconds",
                "How long the oldest live request has waited; 0 when none does",
                waiting.oldest.total_seconds(),
            ),
            queues,
            _gauge("record_lag_seconds", "Age of the oldest event that is in no log yet; 0 when all are", behind),
            _gauge("stream_lag_seconds", "Age of the oldest event that a stream has yet to bring; 0: none", streamed),
            _gauge("streams_failing", "Streams whose receiver does not take what they bring", failing),
            _gauge(
                "publication_failing_seconds", "For how long a checkpoint could not be published; 0: not", unpublished
            ),
            _gauge("record_refused", "1 while the record is not what was signed", record == "refused"),
        ]


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"agentwarden_{name}", text, value)


class Files(Collector):
    """The sum of what every process of this machine counted; gauges only of those that live."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counted = MultiProcessCollector(None, str(folder))

    def collect(self) -> Iterable[Metric]:
        for file in self._folder.glob("gauge_live*_*.db"):
            pid = file.stem.rpartition("_")[2]
            if pid.isdigit() and not _lives(int(pid)):
                with suppress(FileNotFoundError):  # another process saw it first
                    mark_process_dead(int(pid), str(self._folder))
        return self._counted.collect()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # no /proc here, or it ended in this moment
        return True
    return state != "Z"  # ended, and nobody asked yet how


def _registry() -> CollectorRegistry:
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Now())
    registry.register(Files(Path(folder)) if folder else REGISTRY)
    return registry


registry = _registry()


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """In Prometheus' text format or in OpenMetrics, as asked; 401 or 403 for who may not read it."""
    if refusal := _refusal(request):
        return refusal
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type, headers={"Cache-Control": "no-store"})


def _refusal(request: HttpRequest) -> HttpResponse | None:
    if settings.METRICS_TOKEN:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and constant_time_compare(token.strip(), settings.METRICS_TOKEN):
            return None
        return _plain("The token is missing or wrong.\n", 401, {"WWW-Authenticate": "Bearer"})
    if not settings.PRODUCTION and _from_here(request):
        return None
    return _plain("Set METRICS_TOKEN to read metrics.\n", 403)


def _plain(text: str, status: int, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8", headers=headers)


def _from_here(request: HttpRequest) -> bool:
    """Whether the client is on this machine, and no proxy speaks for somebody who is not."""
    try:
        here = ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
    return here and not any(name in request.headers for name in FORWARDED)
