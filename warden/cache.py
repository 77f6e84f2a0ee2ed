"""The cache: a convenience. While Redis is away it is as if nothing had ever been stored, and people still log in."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import redis
import structlog
from django.core.cache.backends.redis import RedisCache

log = structlog.get_logger(__name__)


def _forgiving(method: Callable[..., Any], otherwise: Any) -> Callable[..., Any]:
    @wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except redis.RedisError as error:
            log.warning("cache.unavailable", command=method.__name__, error=type(error).__name__)
            return otherwise

    return wrapped


class ForgivingRedisCache(RedisCache):
    """Holds nothing that decides: rates of the account pages. The lock-out after wrong passwords is in PostgreSQL."""

    add = _forgiving(RedisCache.add, True)  # noqa: FBT003
    set = _forgiving(RedisCache.set, None)
    delete = _forgiving(RedisCache.delete, False)  # noqa: FBT003

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        found = _forgiving(super().get, None)(key, None, version)
        return default if found is None else found
