"""Many of the same: checked once, run one by one, logged once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ._errors import BatchError, ValidationError

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class BatchResult(Generic[Item, Value]):
    """What came of a batch, in the order of the items: those that were done, those that were not."""

    done: Sequence[tuple[Item, Value]]
    failed: Sequence[tuple[Item, Exception]]


class Batch(Generic[Item, Value]):
    """One batch: its context, and how its items are run."""

    def __init__(self, action: str, items: Iterable[Item], context: Mapping[str, Any] | None) -> None:
        self.action = action
        self.items = list(items)
        if context is not None and "count" in context:
            raise ValidationError("'count' of a batch's context is the number of its items")
        self.context = {**(context or {}), "count": len(self.items)}
        self._done: list[tuple[Item, Value]] = []
        self._failed: list[tuple[Item, Exception]] = []

    # Neither callback takes the approved context: where an approver changed it, `execute` refuses the batch.

    def blocking(self, run: Callable[[Item], Value]) -> Callable[[], BatchResult[Item, Value]]:
        """The callback for `execute`."""

        def callback() -> BatchResult[Item, Value]:
            for item in self.items:
                try:
                    self._done.append((item, run(item)))
                except Exception as error:
                    self._failed.append((item, error))
            return self._result()

        return callback

    def awaiting(self, run: Callable[[Item], Any]) -> Callable[[], Any]:
        """The same for asyncio; `run` may be async or not."""

        async def callback() -> BatchResult[Item, Value]:
            for item in self.items:
                try:
                    value = run(item)
                    self._done.append((item, await value if hasattr(value, "__await__") else value))
                except Exception as error:
                    self._failed.append((item, error))
            return self._result()

        return callback

    def _result(self) -> BatchResult[Item, Value]:
        result = BatchResult(self._done, self._failed)
        if self._failed:
            raise BatchError(self.action, result)
        return result
