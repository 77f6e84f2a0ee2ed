"""Arguments that several commands take, and what they come to."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .._json import MalformedJSON, decode
from ._exits import Trouble

OUTPUT = "print one JSON value, for programs"


def common(parser: argparse.ArgumentParser, *, agent: bool = True) -> None:
    """--json, and where Warden is and who asks it. Flags win over the environment, which wins over the file."""
    parser.add_argument("--json", action="store_true", help=OUTPUT)
    parser.add_argument("--base-url", metavar="URL", help="where Warden is; else AGENTWARDEN_BASE_URL, else the file")
    parser.add_argument(
        "--key-file", metavar="FILE", help="a file with the key or token; else the environment, else the file"
    )
    parser.add_argument("--config", metavar="FILE", help="another file of settings than the usual one")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="for one call (default: 10)")
    if agent:
        parser.add_argument(
            "--agent", metavar="SLUG", help="who asks; else AGENTWARDEN_AGENT, else the file, else the key's own agent"
        )


def context_arguments(parser: argparse.ArgumentParser) -> None:
    """NAME=TEXT and NAME:=JSON, or all of it with --context."""
    parser.add_argument(
        "fields", nargs="*", metavar="NAME=TEXT", help="one field of the context; NAME:=JSON for numbers and lists"
    )
    parser.add_argument("--context", metavar="JSON", help="the whole context; @FILE reads it from there, - from stdin")


def context_of(options: argparse.Namespace) -> dict[str, Any] | None:
    """The context these arguments say, None where they say none. Raises Trouble."""
    context = None if options.context is None else _object(_text_of(options.context))
    for field in options.fields:
        name, equals, value = field.partition("=")
        exact = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise Trouble(f"{field!r} is not NAME=TEXT or NAME:=JSON")
        context = {} if context is None else context
        if name in context:
            raise Trouble(f"{name!r} is given twice")
        context[name] = _json(value, f"the value of {name!r}") if exact else value
    return context


def _text_of(given: str) -> str:
    try:
        if given == "-":
            return sys.stdin.read()
        return Path(given[1:]).read_text(encoding="utf-8") if given.startswith("@") else given
    except (OSError, ValueError) as error:
        raise Trouble(f"The context cannot be read: {error}") from error


def _object(text: str) -> dict[str, Any]:
    value = _json(text, "the context")
    if not isinstance(value, dict):
        raise Trouble("The context is not a JSON object")
    return value


def _json(text: str, what: str) -> Any:
    try:
        return decode(text.encode())
    except (MalformedJSON, UnicodeEncodeError) as error:
        raise Trouble(f"{what[0].upper()}{what[1:]} is not JSON: {error}") from error
