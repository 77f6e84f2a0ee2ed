"""Threads that do at once what people and agents do."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from django.db import connection


class Crowd(ThreadPoolExecutor):
    """Each call gives its thread's connection back: threads that end with one would leave the next test without."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(_polite, fn, *args, **kwargs)


def _polite(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    try:
        return fn(*args, **kwargs)
    finally:
        connection.close()
