"""What the commands of policy as code share: files, what they name, and problems with their places."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from agents.code.document import convert, references
from agents.code.reading import Broken, File, read
from agents.management.commands._base import AgentsCommand


@contextmanager
def broken_as_error() -> Iterator[None]:
    """What is wrong with files is an error, a line for each problem."""
    try:
        yield
    except Broken as broken:
        raise CommandError(str(broken)) from broken


class PolicyCommand(AgentsCommand):
    """A command over files. What is wrong with them is an error, a line for each problem."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("files", nargs="+", metavar="FILE", help="each laid over those before it; - reads one")
        parser.add_argument("--prune", action="store_true", help="delete what the files' sections do not name")

    def answer(self, **options: Any) -> tuple[Any, str]:
        with broken_as_error():
            return super().answer(**options)

    @staticmethod
    def files(options: dict[str, Any]) -> list[File]:
        """The files that are named, as they are. Raises CommandError."""
        try:
            return [
                File("standard input", sys.stdin.read()) if name == "-" else File(name, Path(name).read_text("utf-8"))
                for name in options["files"]
            ]
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"A file cannot be read: {error}") from error

    @staticmethod
    def values(files: list[File]) -> dict[str, str]:
        """What `address_env` and `address_file` name, from this process's surroundings. Raises CommandError."""
        found: dict[str, str] = {}
        for kind, name in references(convert(read(files))):
            try:
                value = os.environ[name] if kind == "env" else Path(name).read_text("utf-8")
            except (KeyError, OSError, UnicodeDecodeError) as error:
                raise CommandError(f"{name}, which a file names, cannot be read: {error}") from error
            found[f"{kind}:{name}"] = value.strip()
        return found


def as_change(change: Any) -> dict[str, Any]:
    """A change for scripts."""
    return {
        "kind": change.kind,
        "section": change.section,
        "name": change.key,
        "action": change.action,
        "words": change.words,
        "direction": change.direction,
        "fields": [{"name": name, "before": before, "after": after} for name, before, after in change.fields],
    }
