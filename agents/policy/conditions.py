"""Conditions of permissions: Common Expression Language, type-checked when written, bounded when evaluated.

A condition sees `context` (the request's JSON), `agent` (id, slug, status, spiffe_id), `environment` ("" if unknown),
`amount` (a double; a condition that reads it fails if the request has no valid amount) and `now` (a timestamp).
`amount` is for convenience (`amount < 20 || context.vip`): exact limits belong in a permission's maximum, in Decimal.

The bounds: CEL ends a loop after 10,000 rounds, allows 32 levels of nesting and matches regular expressions in linear
time. We add what it leaves open: no loop within a loop and no `+` within one (it could fill the memory), and only as
much of the context as is named in the condition, up to a size. Compiled conditions may be used by many threads.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

MAX_LENGTH = 2_000
MAX_DEPTH = 32
MAX_VALUES = 1_000
MAX_TEXT = 65_536
MAX_TEXT_IN_LOOPS = 4_096

# Without map() and bytes(): a condition answers yes or no, it has no use for making lists or bytes.
_ENVIRONMENT = cel.NewEnv(
    config=cel.NewEnvConfigFromYaml("stdlib: {exclude_macros: [map], exclude_functions: [{name: bytes}]}"),
    variables={
        "context": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
        "agent": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
        "environment": cel.Type.STRING,
        # dyn, not double, so that `amount < 100` needs no `100.0`
        "amount": cel.Type.DYN,
        "now": cel.Type.TIMESTAMP,
    },
)

_ERROR = re.compile(r"<input>:(-?\d+):(-?\d+): ([^\n]*)")
_STATUS = re.compile(r"^(?:[A-Z_]+: )+|(?: \[[A-Z_]+\])+$")
_NAMED = re.compile(
    r"""\bcontext\s*(?:\.\s*([A-Za-z_]\w*)(?!\s*\(|\w)|\[\s*(?:"([^"\\\n]*)"|'([^'\\\n]*)')\s*\])""", re.ASCII
)
_CONTEXT = re.compile(r"\bcontext\b", re.ASCII)
_TEXT_OR_COMMENT = re.compile(
    r"""[rR](?:'''.*?'''|\""".*?\"""|'[^'\n]*'|"[^"\n]*")"""
    r"""|'''(?:\\.|[^\\])*?'''|\"""(?:\\.|[^\\])*?\"""|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|//[^\n]*""",
    re.DOTALL,
)
_LOOP_TOKEN = re.compile(r"\.\s*(all|exists|exists_one|filter)\s*\(|[()+]")


class ConditionError(ValueError):
    """A condition that cannot be used; `line` and `column` count from 1 and say where, `caret` shows it."""

    def __init__(self, message: str, text: str = "", line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        lines = text.split("\n")
        self.caret = f"{lines[line - 1]}\n{' ' * (column - 1)}^" if 0 < line <= len(lines) else ""


class ConditionFailed(Exception):
    """A condition that gave neither true nor false; the message says why. Whoever asks must deny."""


class Condition:
    """A compiled condition, made by `compile_condition`."""

    __slots__ = ("_expression", "_fields", "_max_text", "text")

    def __init__(self, text: str, expression: cel.Expression) -> None:
        self.text = text
        self._expression = expression
        self._fields = _named_fields(text)
        self._max_text = MAX_TEXT_IN_LOOPS if _check_loops(text) else MAX_TEXT

    def holds(
        self,
        *,
        context: Mapping[str, Any],
        agent: Mapping[str, str],
        environment: str,
        amount: Decimal | None,
        now: datetime,
    ) -> bool:
        """True or false. Raises ConditionFailed for every other ending: a missing key, a wrong type, too much data."""
        if self._fields is None:
            seen = dict(context)
        else:
            seen = {name: context[name] for name in self._fields if name in context}
        if seen:
            _screen(seen, self._max_text)
        data = {"context": seen, "agent": agent, "environment": environment, "now": now}
        if amount is not None:
            data["amount"] = float(amount)
        try:
            result = self._expression.eval(data=data)
            value = result.value()
        except Exception as error:  # the library raises RuntimeError and TypeError; whatever it is must deny
            raise ConditionFailed(_tidy(str(error))) from error
        if value is True or value is False:
            return bool(value)
        kind = result.type().name()
        if kind == "ERROR":
            raise ConditionFailed(_tidy(str(value)))
        raise ConditionFailed(f"it gives {kind.lower()}, not true or false")


@lru_cache(maxsize=4_096)
def compile_condition(text: str) -> Condition:
    """Compiles and type-checks a condition, which must be true or false (or of a type known only when it is evaluated).

    Raises ConditionError with the place of the first mistake.
    """
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"The condition is longer than {MAX_LENGTH:,} characters", text)
    # A NUL would end the expression for the compiler, and silently drop what follows it.
    for number, line in enumerate(text.split("\n"), 1):
        for column, character in enumerate(line, 1):
            if (character < " " and character not in "\t\r") or "\ud800" <= character <= "\udfff":
                raise ConditionError("The condition contains a character that cannot be used", text, number, column)
    if not text.strip():
        raise ConditionError("The condition is empty", text)
    try:
        expression = _ENVIRONMENT.compile(text)
    except Exception as error:
        raise _located(str(error), text) from error
    kind = expression.return_type()
    if kind not in (cel.Type.BOOL, cel.Type.DYN):
        raise ConditionError(f"The condition must be true or false, but gives {kind.name().lower()}", text)
    return Condition(text, expression)


def _located(error: str, text: str) -> ConditionError:
    found = _ERROR.search(error)
    if found is None or int(found[1]) < 1:
        deep = "recursion" in error
        return ConditionError("The condition is nested too deeply" if deep else _tidy(error), text)
    message = found[3].partition(" expecting ")[0].removesuffix(" (in container '')")
    message = _STATUS.sub("", message).replace("mismatched input '<EOF>'", "something is missing at the end")
    return ConditionError(message, text, int(found[1]), int(found[2]))


def _tidy(error: str) -> str:
    """The library's message without its status codes, on one line, not longer than a line."""
    message = _STATUS.sub("", error).replace("Key not found in map : ", "there is no ")
    message = message.replace('No value with name "amount" found in Activation', "there is no valid amount")
    message = "".join(character if character.isprintable() else " " for character in message)
    return message if len(message) <= 200 else f"{message[:199]}…"


def _named_fields(text: str) -> tuple[str, ...] | None:
    """The fields of the context a condition names, or None if it uses the context in any other way."""
    fields = [found[1] or found[2] or found[3] or "" for found in _NAMED.finditer(text)]
    return tuple(dict.fromkeys(fields)) if len(fields) == len(_CONTEXT.findall(text)) else None


def _check_loops(text: str) -> bool:
    """Whether the condition loops; raises ConditionError for a loop or a `+` within a loop."""
    # blanked, not removed, so that positions stay
    bare = _TEXT_OR_COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    open_loops: list[bool] = []
    loops = False
    for token in _LOOP_TOKEN.finditer(bare):
        if token[0] == ")":
            if open_loops:
                open_loops.pop()
            continue
        if any(open_loops) and token[0] != "(":
            line, column = bare.count("\n", 0, token.start()) + 1, token.start() - bare.rfind("\n", 0, token.start())
            raise ConditionError(
                "A loop (all, exists, exists_one, filter) may contain no loop and no +", text, line, column
            )
        if token[0] != "+":
            open_loops.append(token[1] is not None)
            loops = loops or token[1] is not None
    return loops


def _screen(seen: dict[str, Any], max_text: int) -> None:
    """Lets through only what CEL reads as it is: JSON of bounded size with well-formed texts and 64-bit integers.

    A NUL matters most: the library would cut the text there, and `context.to == "me@here"` would hold for
    "me@here\\0@there".
    """
    values = text = 0
    layer: Iterable[Any] = (seen,)
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in layer:
            kind = type(value)
            if kind is str:
                text += _length(value)
            elif kind is bool or value is None:
                continue
            elif kind is int:
                if not -(2**63) <= value < 2**63:
                    raise ConditionFailed("the context has an integer of more than 64 bits")
            elif kind is float:
                if not math.isfinite(value):
                    raise ConditionFailed("the context has a number that is not finite")
            elif kind is list or kind is dict:
                values += len(value)
                if values > MAX_VALUES:
                    raise ConditionFailed(f"the context is too large for a condition (over {MAX_VALUES:,} values)")
                if kind is dict:
                    for key in value:
                        if type(key) is not str:
                            raise ConditionFailed("the context is not JSON")
                        text += _length(key)
                    below.extend(value.values())
                else:
                    below.extend(value)
            else:
                raise ConditionFailed("the context is not JSON")
        if text > max_text:
            raise ConditionFailed(f"the context is too large for a condition (over {max_text:,} characters of text)")
        if not below:
            return
        layer = below
    raise ConditionFailed(f"the context is nested too deeply for a condition (over {MAX_DEPTH} levels)")


def _length(text: str) -> int:
    if "\0" in text:
        raise ConditionFailed("the context has a text with a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ConditionFailed("the context has a text that is not Unicode") from error
    return len(text)
