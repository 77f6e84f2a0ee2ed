"""REDIS_URL as the cache and the broker each want it."""

from typing import Any
from urllib.parse import parse_qs, urlsplit


def cache(url: str) -> dict[str, Any]:
    """Django's cache. Nothing that decides lives in it."""
    if not url:
        return {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
    return {
        "BACKEND": "warden.cache.ForgivingRedisCache",
        "LOCATION": url,
        "KEY_PREFIX": "warden",
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 1},
    }


def broker(url: str) -> str:
    """Celery's form: a Unix socket is redis+socket:///path?virtual_host=N."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url or "memory://"
    number = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={number}"
