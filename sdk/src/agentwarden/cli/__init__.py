"""The command `agentwarden`: one table of subcommands, one module each.

A module has `configure(parser)`, which adds its arguments, and `run(options, output) -> Exit`. It is loaded when it is
asked for, so that the others cost nothing and heavier parts can be extras of the package.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from .._version import __version__
from ._exits import EXITS, Exit
from ._options import common
from ._output import Output


class Command(NamedTuple):
    """Where a subcommand lives and what it is for, in one line. `extra`: of the package, where it needs one."""

    module: str
    help: str
    extra: str | None = None


COMMANDS = {
    "check": Command("check", "ask whether an action may be done now"),
    "log": Command("log", "record what came of an action"),
    "whoami": Command("whoami", "say whose key or token this is"),
}


def parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser of everything, with the arguments of the `chosen` subcommand (None: of each)."""
    top = argparse.ArgumentParser(
        prog="agentwarden",
        description="Ask Warden before an agent acts.",
        epilog="Exit codes: " + "; ".join(f"{code.value} {words}" for code, words in EXITS.items()) + ".",
    )
    top.add_argument("--version", action="version", version=f"agentwarden {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.help, description=f"{command.help[0].upper()}{command.help[1:]}.")
        if chosen in (None, name):
            import_module(f".{command.module}", __name__).configure(sub)
    return top


def _parse(top: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """As parse_args, with fields of the context after options too: argparse takes positional arguments in one place."""
    options, rest = top.parse_known_args(words)
    if rest and hasattr(options, "fields") and not any(word.startswith("-") for word in rest):
        options.fields = [*options.fields, *rest]
    elif rest:
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code, which is 0 for nothing but a yes."""
    words = list(sys.argv[1:] if argv is None else argv)
    chosen = words[0] if words and words[0] in COMMANDS else ""
    options = _parse(parser(chosen), words)
    output = Output(as_json=getattr(options, "json", False))
    try:
        return int(import_module(f".{COMMANDS[options.command].module}", __name__).run(options, output))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # whoever read the output has gone: nothing can be told any more
        sys.stdout = None
        return Exit.FAILED
    except Exception as error:
        return output.failed(error)


__all__ = ["COMMANDS", "Command", "Exit", "common", "main", "parser"]
