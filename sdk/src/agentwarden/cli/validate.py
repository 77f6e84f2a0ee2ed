"""agentwarden validate: reads configuration, ours and AgentWeave's, and says what is wrong with it, line by line.

It asks no server: what only a server can know (that an owner exists, that a condition compiles) says `policy validate`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from ._agentweave import ERROR, SECTIONS, Finding, check
from ._exits import Exit, Trouble
from ._options import OUTPUT
from ._output import Output
from ._yaml import Unreadable, Value, load

OURS = {"agents", "rules", "channels", "external_opa", "tests"}
SECRET = re.compile(r"(?:^|_)(?:password|passwd|secret|token|api_?key|private_?key|credentials?)$")
NEARNESS = {"additionalProperties": 4, "required": 3, "enum": 2}  # how surely this alternative was meant
PRODUCTION = re.compile(r"(?:^|[^a-z])prod(?:uction)?(?:[^a-z]|$)")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a warden.yaml, or AgentWeave's; - reads one")
    parser.add_argument("--production", action="store_true", help="judge as production, whatever the files are called")
    parser.add_argument("--strict", action="store_true", help="let warnings fail too")
    parser.add_argument("--json", action="store_true", help=OUTPUT)


def run(options: argparse.Namespace, output: Output) -> Exit:
    found = [(name, finding) for name in options.files for finding in _file(name, options.production)]
    rows = [
        {
            "file": name,
            "line": each.line,
            "column": each.column,
            "severity": each.severity,
            "message": each.message,
        }
        for name, each in found
    ]
    failed = any(each.severity == ERROR or options.strict for _, each in found)
    lines = [f"{row['file']}:{row['line']}:{row['column']}: {row['severity']}: {row['message']}" for row in rows]
    number = len(options.files)
    lines.append(f"{number} file{'' if number == 1 else 's'}: {'not ' if failed else ''}valid")
    output.say("\n".join(lines), {"valid": not failed, "problems": rows})
    return Exit.DENIED if failed else Exit.OK


def _file(name: str, production: bool) -> list[Finding]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Trouble(f"{name} cannot be read: {error}") from error
    try:
        root = load(name, text)
    except Unreadable as error:
        return [Finding(error.line, error.column, ERROR, str(error))]
    if not isinstance(root.content, dict):
        return [Finding(root.line, root.column, ERROR, "a file is a mapping: keys, each with its value")]
    found = [*_secrets(root)]
    keys = set(root.keys)
    if keys & set(SECTIONS) and not keys & OURS:
        found += check(root, production=production or bool(PRODUCTION.search(Path(name).name.lower())))
    elif keys & OURS or "version" in keys:
        found += _ours(root)
    else:
        found.append(
            Finding(root.line, root.column, ERROR, "this is neither a warden.yaml nor AgentWeave's configuration")
        )
    return sorted(set(found))


def schema() -> dict[str, Any]:
    """The JSON Schema of warden.yaml, as the server of this version publishes it."""
    made: dict[str, Any] = json.loads(resources(__package__).joinpath("warden.schema.json").read_text(encoding="utf-8"))
    return made


def _ours(root: Value) -> Iterator[Finding]:
    try:
        from jsonschema import Draft202012Validator
    except ImportError as error:
        raise Trouble("This needs jsonschema: install agentwarden-client[policy]") from error
    for found in Draft202012Validator(schema()).iter_errors(root.plain()):
        yield from _told(root, found)


def _told(root: Value, error: Any) -> Iterator[Finding]:
    """An error at the place it is about; of alternatives, what is wrong with the one that comes nearest."""
    if error.context:
        nearest = max(error.context, key=lambda each: (len(each.absolute_path), NEARNESS.get(each.validator, 1)))
        if len(nearest.absolute_path) > len(error.absolute_path) or nearest.validator in NEARNESS:
            yield from _told(root, nearest)
            return
    path = list(error.absolute_path)
    place, name = root.place(path), ".".join(map(str, path)) or "the file"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        inner = root
        for step in path:
            inner = inner.content[step]
        for key, at in inner.keys.items():
            if key not in known:
                yield Finding(*at, ERROR, f"{key!r} is unknown here. There are: {', '.join(known)}")
        return
    yield Finding(*place, ERROR, f"{name}: {error.message[:300]}")


def _secrets(value: Value) -> Iterator[Finding]:
    """A secret that is written down, by the name of its key."""
    if isinstance(value.content, list):
        for each in value.content:
            yield from _secrets(each)
    elif isinstance(value.content, dict):
        for key, each in value.content.items():
            if SECRET.search(key.lower()) and isinstance(each.content, str) and each.content:
                said = f"{key} holds a secret: name where it is instead, as {key}_env"
                yield Finding(*value.keys[key], ERROR, said)
            if key != "context":  # of a scenario: made up
                yield from _secrets(each)
