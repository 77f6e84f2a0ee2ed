"""YAML with places: what `validate` tells problems by. It needs the extra `policy`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ._exits import Trouble

DEEPEST = 50


class Unreadable(Exception):
    """This is no YAML, or more than configuration needs. Line and column count from one."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line, self.column = line, column


@dataclass(slots=True)
class Value:
    """A value, and where it stands; keys have places of their own."""

    line: int
    column: int
    content: Any
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)

    def plain(self) -> Any:
        if isinstance(self.content, dict):
            return {key: value.plain() for key, value in self.content.items()}
        if isinstance(self.content, list):
            return [value.plain() for value in self.content]
        return self.content

    def get(self, key: str) -> Value | None:
        found = self.content.get(key) if isinstance(self.content, dict) else None
        return found if isinstance(found, Value) else None

    def place(self, path: Any) -> tuple[int, int]:
        """Where what stands at `path` is: a collection at its key."""
        here, place = self, (self.line, self.column)
        for step in path:
            if isinstance(here.content, dict) and step in here.content:
                key, here = here.keys[step], here.content[step]
                place = key if isinstance(here.content, dict | list) else (here.line, here.column)
            elif isinstance(here.content, list) and isinstance(step, int) and step < len(here.content):
                here = here.content[step]
                place = (here.line, here.column)
        return place


def load(name: str, text: str) -> Value:
    """The one document in `text`. Raises Unreadable, and Trouble where PyYAML is not installed."""
    try:
        import yaml
    except ImportError as error:
        raise Trouble("This needs PyYAML: install agentwarden-client[policy]") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise Unreadable(line, column, f"not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise Unreadable(1, 1, f"not YAML: {str(error).splitlines()[0]}") from error
    if node is None:
        raise Unreadable(1, 1, "the file is empty")
    return _value(node, yaml, ())


def _value(node: Any, yaml: Any, above: tuple[Any, ...]) -> Value:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    if len(above) > DEEPEST or any(node is each for each in above):
        raise Unreadable(line, column, "nested too deep, or in itself")
    inside = (*above, node)
    if isinstance(node, yaml.ScalarNode):
        return Value(line, column, _scalar(node))
    if isinstance(node, yaml.SequenceNode):
        return Value(line, column, [_value(each, yaml, inside) for each in node.value])
    made = Value(line, column, {})
    for key, each in node.value:
        place = (key.start_mark.line + 1, key.start_mark.column + 1)
        if not isinstance(key, yaml.ScalarNode):
            raise Unreadable(*place, "a key is text")
        if key.value in made.content:
            raise Unreadable(*place, f"{key.value!r} is here twice, first in line {made.keys[key.value][0]}")
        made.content[key.value], made.keys[key.value] = _value(each, yaml, inside), place
    return made


def _scalar(node: Any) -> Any:
    """By the core schema of YAML 1.2: `yes` and `on` are text."""
    text: str = node.value
    if node.style is not None:
        return text
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text.lower() in ("true", "false") and text in (text.lower(), text.capitalize(), text.upper()):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text) if text[-1:].isdigit() and "_" not in text else text
        except ValueError:
            continue
    return text
