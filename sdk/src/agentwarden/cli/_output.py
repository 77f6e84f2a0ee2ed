"""What commands print: words for people, or one JSON value for programs. Answers to stdout, trouble to stderr."""

from __future__ import annotations

import dataclasses
import json
import sys
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .._errors import AgentWardenError, ValidationError
from ._exits import Exit, Trouble

LEFT_OUT = {"answer"}  # the whole answer again


class Output:
    """Where a command's words go."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def say(self, words: str, value: Any) -> None:
        """`words` for a person (what an agent or a stranger wrote in it made harmless), or `value` as JSON."""
        sys.stdout.write(f"{to_json(value) if self.as_json else printable(words)}\n")
        sys.stdout.flush()

    def note(self, words: str) -> None:
        """Something beside the answer, for people alone."""
        if not self.as_json:
            sys.stderr.write(f"{printable(words)}\n")
            sys.stderr.flush()

    def failed(self, error: Exception) -> int:
        """Tell what went wrong; the exit code for it. Something unforeseen keeps its traceback to itself."""
        code = exit_of(error)
        known = isinstance(error, AgentWardenError | Trouble)
        message = str(error) if known else f"{type(error).__name__}: {error}"
        if self.as_json:
            told = {"message": message, "type": type(error).__name__, "exit": int(code)}
            if isinstance(error, AgentWardenError):
                told |= {"code": error.code, "status_code": error.status_code, "request_id": error.request_id}
            sys.stdout.write(f"{to_json({'error': told})}\n")
        else:
            sys.stderr.write(f"agentwarden: {printable(message)}\n")
        return code


def exit_of(error: Exception) -> Exit:
    if isinstance(error, Trouble):
        return error.code
    return Exit.USAGE if isinstance(error, ValidationError) else Exit.FAILED


def to_json(value: Any) -> str:
    """One line; characters that a terminal could act upon are escaped."""
    return json.dumps(plain(value), sort_keys=False)


def plain(value: Any) -> Any:
    """The value with JSON's own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if field.name not in LEFT_OUT]
        return {name: plain(getattr(value, name)) for name in fields}
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime) else value


def printable(text: str) -> str:
    """The text with control, direction and invisible characters drawn (⟨U+202E⟩): a terminal acts on none of them."""
    return "".join(map(_drawn, text))


def _drawn(letter: str) -> str:
    if letter != "\n" and unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return f"⟨U+{ord(letter):04X}⟩"
    return letter
