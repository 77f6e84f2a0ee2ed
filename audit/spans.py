"""Where the time of a request goes, for those who collect traces. Without a tracer (warden.tracing) nothing happens.

A span says what was done and how it ended: never a context, a reason, an address or the text of an exception (I11).
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, Protocol

Attributes = dict[str, str | int]
Place = Any  # where a span stands in its trace, as the tracer knows it; None where there is no trace


class Tracer(Protocol):
    """What warden.tracing installs."""

    def span(self, name: str, parent: Place, attributes: Attributes) -> AbstractContextManager[None]: ...

    def happened(self, name: str, seconds: float, parents: Iterable[Place], attributes: Attributes) -> None: ...

    def here(self) -> Place: ...


_tracer: Tracer | None = None
_nothing: AbstractContextManager[None] = nullcontext()


def install(tracer: Tracer | None) -> None:
    """Has this process trace what it does, or stop tracing."""
    global _tracer
    _tracer = tracer


def span(name: str, parent: Place = None, **attributes: str | int) -> AbstractContextManager[None]:
    """`with span("decide"):` within the trace of `parent`, or of whoever calls."""
    return _tracer.span(name, parent, attributes) if _tracer else _nothing


def happened(name: str, seconds: float, parents: Iterable[Place], **attributes: str | int) -> None:
    """What has just ended and took so long, once in the trace of each of `parents`: one commit of many requests."""
    if _tracer:
        _tracer.happened(name, seconds, parents, attributes)


def here() -> Place:
    """Where we are in a trace, for what goes on elsewhere on our behalf."""
    return _tracer.here() if _tracer else None


def traced[**P, R](name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Each call of the function is a span."""

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if _tracer is None:
                return function(*args, **kwargs)
            with _tracer.span(name, None, {}):
                return function(*args, **kwargs)

        return call

    return wrap
