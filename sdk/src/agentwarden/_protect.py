"""The decorator: a function that asks before it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ._errors import ValidationError
from ._json import decode, encode, same

ContextSource = Mapping[str, Any] | Callable[..., Mapping[str, Any]] | None


class Protected:
    """One protected function: how a call of it becomes a context, and an approved context a call."""

    def __init__(self, function: Callable[..., Any], source: ContextSource) -> None:
        if source is not None and not isinstance(source, Mapping) and not callable(source):
            raise ValidationError("context is a mapping, a function of the same arguments, or left out")
        self._function = function
        self._source = source
        self._signature = inspect.signature(function)

    def plan(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[dict[str, Any], Callable[..., Any]]:
        """The context to ask with, and the callback to run."""
        if isinstance(self._source, Mapping):
            return dict(self._source), lambda: self._function(*args, **kwargs)
        if self._source is not None:
            return dict(self._source(*args, **kwargs)), lambda: self._function(*args, **kwargs)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        asked = {name: value for name, value in bound.arguments.items() if name not in ("self", "cls")}
        told: dict[str, Any] = decode(encode(asked, what="arguments").encode())

        def run(approved: dict[str, Any]) -> Any:
            """Only arguments the approver changed are replaced: the others keep the types they came with."""
            if approved.keys() != told.keys():
                raise ValidationError("The approved context names other arguments than the function was called with")
            for name, value in approved.items():
                if not same(told[name], value):
                    bound.arguments[name] = value
            return self._function(*bound.args, **bound.kwargs)

        return told, run
