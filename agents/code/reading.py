"""YAML, read strictly: every value knows its file, line and column; nothing is guessed, nothing grows.

The subset is JSON's, by the core schema of YAML 1.2 (10.3): `yes` and `on` are text, `true` is not. Duplicate keys,
tags, merge keys and several documents are refused. Aliases are read, and count as often as they are used.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import yaml

MAX_CHARACTERS = 1_048_576  # of all files together
MAX_VALUES = 100_000
MAX_DEPTH = 20
MAX_FILES = 20
MAX_PROBLEMS = 50
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path = tuple[str | int, ...]


class Mark(NamedTuple):
    """A place in a file, counted from one."""

    file: str
    line: int
    column: int


class File(NamedTuple):
    """One file as it came: its name is for people only."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where. A line of 0: with the file as a whole."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}" if self.line else f"{self.file}: {self.message}"


class Broken(Exception):
    """Files that cannot be used. Nothing was changed."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)[:MAX_PROBLEMS]
        super().__init__("\n".join(map(str, self.problems)))


def broken(mark: Mark, message: str) -> Broken:
    return Broken([Problem(*mark, message)])


@dataclass(slots=True)
class Value:
    """A value with its place. `content` is a plain scalar, a list of values, or keys with their marks and values."""

    mark: Mark
    content: Any
    size: int = 1

    @property
    def entries(self) -> dict[str, tuple[Mark, "Value"]]:
        return self.content if isinstance(self.content, dict) else {}

    def plain(self) -> Any:
        """As Python's data."""
        if isinstance(self.content, dict):
            return {key: value.plain() for key, (_, value) in self.content.items()}
        if isinstance(self.content, list):
            return [value.plain() for value in self.content]
        return self.content

    def at(self, path: Path) -> Mark:
        """The place of what stands at `path`, or of the nearest thing around it; of a collection, that of its key."""
        here, mark = self, self.mark
        for step in path:
            if isinstance(here.content, dict) and step in here.content:
                key, here = here.content[step]
                mark = key if isinstance(here.content, (dict, list)) else here.mark
            elif isinstance(here.content, list) and isinstance(step, int) and step < len(here.content):
                here = here.content[step]
                mark = here.mark
            elif not (isinstance(here.content, dict) and step == 0):  # one thing stands for a list of it
                break
        return mark

    def under(self, path: Path) -> "Value":
        """What stands at `path`, or the nearest thing around it."""
        here = self
        for step in path:
            if isinstance(here.content, dict) and step in here.content:
                here = here.content[step][1]
            elif isinstance(here.content, list) and isinstance(step, int) and step < len(here.content):
                here = here.content[step]
            elif not (isinstance(here.content, dict) and step == 0):
                break
        return here

    def key_at(self, path: Path) -> Mark:
        """The place of the last name of `path`: where a key that should not be there is."""
        here = self.under(path[:-1])
        last = str(path[-1])
        return here.entries[last][0] if last in here.entries else here.mark


def read(files: Iterable[File]) -> Value:
    """The files, each laid over those before it: keys are merged, everything else is replaced, `null` takes away.

    Raises Broken.
    """
    files = list(files)
    if not files:
        raise Broken([Problem("warden.yaml", 0, 0, "There is no file.")])
    if len(files) > MAX_FILES:
        raise Broken([Problem(files[MAX_FILES].name, 0, 0, f"At most {MAX_FILES} files.")])
    if sum(len(file.text) for file in files) > MAX_CHARACTERS:
        raise Broken([Problem(files[0].name, 0, 0, f"The files are longer than {MAX_CHARACTERS:,} characters.")])
    merged: Value | None = None
    for file in files:
        value = read_file(file)
        if not isinstance(value.content, dict):
            raise broken(value.mark, "A file is a mapping: keys, each with its value.")
        merged = value if merged is None else overlay(_with_tests(merged, value), value)
    assert merged is not None
    return _without_nulls(merged)


def _with_tests(under: Value, over: Value) -> Value:
    """What lies below keeps nothing of its own where both have tests: those of all files are run."""
    one, two = under.entries.get("tests"), over.entries.get("tests")
    if one and two and isinstance(one[1].content, list) and isinstance(two[1].content, list):
        two[1].content[:0] = one[1].content
    return under


def overlay(under: Value, over: Value) -> Value:
    """`over` laid over `under`."""
    if not (isinstance(under.content, dict) and isinstance(over.content, dict)):
        return over
    content = dict(under.content)
    for key, (mark, value) in over.content.items():
        content[key] = (mark, overlay(content[key][1], value) if key in content else value)
    return Value(over.mark, content)


def _without_nulls(value: Value) -> Value:
    if isinstance(value.content, dict):
        kept = {
            key: (mark, _without_nulls(each)) for key, (mark, each) in value.content.items() if each.content is not None
        }
        return Value(value.mark, kept)
    if isinstance(value.content, list):
        return Value(value.mark, [_without_nulls(each) for each in value.content])
    return value


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    value: Value
    anchor: str | None
    key: tuple[str, Mark] | None = None


@dataclass(slots=True)
class _Reader:
    """Builds values from the parser's events, without recursion."""

    file: str
    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, Value] = field(default_factory=dict)
    count: int = 0
    root: Value | None = None

    def mark(self, event: yaml.Event) -> Mark:
        start = event.start_mark
        return Mark(self.file, start.line + 1, start.column + 1) if start else Mark(self.file, 1, 1)

    def take(self, event: yaml.Event) -> None:
        mark = self.mark(event)
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise broken(mark, "One document a file: no second '---'.")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise broken(mark, f"'*{event.anchor}' is not known, or holds itself.")
            self.place(self.anchors[event.anchor], mark, again=True)
        elif isinstance(event, yaml.ScalarEvent):
            self.refuse_tag(event, mark)
            value = Value(mark, scalar(event.value, mark) if event.style in (None, "") else event.value)
            if event.anchor:
                self.anchors[event.anchor] = value
            self.place(value, mark)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self.refuse_tag(event, mark)
            if len(self.open) >= MAX_DEPTH:
                raise broken(mark, f"Nested deeper than {MAX_DEPTH} levels.")
            self.open.append(_Open(Value(mark, {} if isinstance(event, yaml.MappingStartEvent) else []), event.anchor))
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            done = self.open.pop()
            if done.anchor:
                self.anchors[done.anchor] = done.value
            self.place(done.value, done.value.mark)

    def refuse_tag(self, event: Any, mark: Mark) -> None:
        if event.tag not in (None, "!"):
            raise broken(mark, f"Tags such as '{event.tag}' are not read.")

    def place(self, value: Value, mark: Mark, *, again: bool = False) -> None:
        self.count += value.size if again else 1
        if self.count > MAX_VALUES:
            raise broken(mark, f"More than {MAX_VALUES:,} values.")
        if not self.open:
            self.root = value
            return
        into = self.open[-1]
        into.value.size += value.size
        if isinstance(into.value.content, list):
            into.value.content.append(value)
        elif into.key is None:
            into.key = (self.key(value, mark, into.value.entries), mark)
        else:
            name, place = into.key
            into.value.content[name] = (place, value)
            into.key = None

    @staticmethod
    def key(value: Value, mark: Mark, known: Mapping[str, tuple[Mark, Value]]) -> str:
        if not isinstance(value.content, str):
            raise broken(mark, "A key is text: quote it.")
        if value.content == "<<":
            raise broken(mark, "Merge keys are not read: lay files over each other instead.")
        if value.content in known:
            raise broken(mark, f"'{value.content}' is here twice, first in line {known[value.content][0].line}.")
        return value.content


def read_file(file: File) -> Value:
    """One file's value. Raises Broken."""
    reader = _Reader(file.name)
    try:
        for event in _events(file.text):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        line, column = (place.line + 1, place.column + 1) if place else (1, 1)
        raise broken(Mark(file.name, line, column), f"Not YAML: {error.problem or error.context}.") from error
    except yaml.YAMLError as error:  # a character that YAML does not know
        line = file.text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise broken(Mark(file.name, line, 1), "Not YAML: it holds a character that may not be there.") from error
    if reader.root is None:
        raise Broken([Problem(file.name, 0, 0, "The file is empty.")])
    return reader.root


def _events(text: str) -> Iterator[yaml.Event]:
    return yaml.parse(text, Loader=_LOADER)


def scalar(text: str, mark: Mark) -> Any:
    """A plain scalar by the core schema; numbers are whole or decimal, and exact."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    return text
