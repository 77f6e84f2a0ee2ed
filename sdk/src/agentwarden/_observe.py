"""Who watches a client: told when a check or a wait begins, and how it ended. Watching never changes what happens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

from ._errors import ValidationError

logger = logging.getLogger("agentwarden")

Finish = Callable[[Any, "BaseException | None"], None]


@runtime_checkable
class Observer(Protocol):
    """Told of each operation. Both methods return a function that is called once, with the result or the error."""

    def check(self, agent_id: str, action: str) -> Finish:
        """A check begins; it ends with a CheckResult."""
        ...

    def wait(self, approval_id: str) -> Finish:
        """A wait for a person begins; it ends with an Approval."""
        ...


class Observers:
    """All observers of one client. What one of them raises is logged, and no one's concern."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)
        for observer in self._observers:
            if isinstance(observer, type) or not isinstance(observer, Observer):
                raise ValidationError(f"observers have the methods check and wait; {observer!r} has not")

    def check(self, agent_id: str, action: str) -> Finish:
        return self._begin(lambda observer: observer.check(agent_id, action))

    def wait(self, approval_id: str) -> Finish:
        return self._begin(lambda observer: observer.wait(approval_id))

    def _begin(self, begin: Callable[[Observer], Finish]) -> Finish:
        if not self._observers:
            return _nothing
        begun = [finish for observer in self._observers if (finish := _safely(begin, observer)) is not None]

        def finish_all(result: Any, error: BaseException | None) -> None:
            for finish in begun:
                _safely(finish, result, error)

        return finish_all


def _safely(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except Exception as error:
        logger.error("An observer of Warden's client failed: %r", error)
        return None


def _nothing(result: Any, error: BaseException | None) -> None:
    """Nobody watches."""


def outcome(result: Any, error: BaseException | None) -> str:
    """How a check ended, in a word: allowed, denied, pending or error."""
    if error is not None or result is None:
        return "error"
    if result.requires_approval:
        return "pending"
    return "allowed" if result.allowed else "denied"
