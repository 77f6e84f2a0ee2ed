"""/health: is it alive, and can it do its work?"""

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse


@login_not_required
def live(request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all."""
    return JsonResponse({"status": "ok"})


@login_not_required
def ready(request: HttpRequest) -> HttpResponse:
    """200 while decisions can be made durable, else 503. Redis is told of, and is no reason to be unready."""
    parts = {"database": _database(), "redis": _redis()}
    return JsonResponse(
        {"status": "ok" if parts["database"] == "ok" else "unavailable", "parts": parts},
        status=200 if parts["database"] == "ok" else 503,
    )


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT value FROM agents_epoch")
            return "ok" if cursor.fetchone() else "not migrated"
    except Error:
        return "unreachable or not migrated"


def _redis() -> str:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as client:
            client.ping()
    except (redis.RedisError, OSError):
        return "unreachable"
    return "ok"
