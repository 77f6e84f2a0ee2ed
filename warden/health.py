"""/health: is it alive, and can it do its work? Words for machines, part by part; nothing of what is inside."""

import time
from datetime import timedelta

import redis
import structlog
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audit import lag
from audit.clock import database_now
from gateway import writer
from notifications.metrics import queue_ages

log = structlog.get_logger(__name__)
LATE = timedelta(seconds=60)  # for the oldest of what people are owed
NEEDED = {"database", "migrations", "writer"}  # without any of these nothing is decided
_migrated = False


@login_not_required
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all: restart it when it does not."""
    return JsonResponse({"status": "ok"})


@login_not_required
@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """200 while decisions can be made durable, else 503: send it no requests then.

    `degraded` is still 200: agents are answered, and people may hear of it late.
    """
    parts = {**_of_database(), "redis": _redis(), "writer": _writer()}
    broken = {name for name, state in parts.items() if state != "ok"}
    status = "unavailable" if broken & NEEDED else "degraded" if broken else "ok"
    if status == "unavailable":
        log.warning("health.unavailable", **parts)
    elif broken:
        log.warning("health.degraded", **parts)
    return JsonResponse({"status": status, "parts": parts}, status=503 if status == "unavailable" else 200)


def _of_database() -> dict[str, str]:
    """The database, whether it has all tables, and whether what it holds for people goes out."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 3000")
            now = database_now()
            if not _is_migrated():
                return {"database": "ok", "migrations": "pending", "outbox": "unknown", "record": "unknown"}
            late = max(queue_ages(now).values()) > LATE
            record = lag.state(now)
    except Error as error:
        log.warning("health.database", error=type(error).__name__)
        return {"database": "unreachable", "migrations": "unknown", "outbox": "unknown", "record": "unknown"}
    return {"database": "ok", "migrations": "ok", "outbox": "late" if late else "ok", "record": record}


def _is_migrated() -> bool:
    """Whether the database has every migration of this code. Once it has, a running process need not ask again."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


def _redis() -> str:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1, retry=None) as client:
            client.ping()
    except (redis.RedisError, OSError):
        return "unreachable"
    return "ok"


def _writer() -> str:
    """Of this process: whether its lanes commit what waits in them."""
    now = time.monotonic()
    return "stuck" if any(lane.is_stuck(now) for lane in writer.running.copy()) else "ok"
