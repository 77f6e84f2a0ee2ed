"""The command `agentwarden`: one table of subcommands, one module each.

The table is in `_table`. A module has `configure(parser)`, which adds its arguments, and `run(options, output)`, which
returns the exit code. It is loaded when it is asked for: the others cost nothing, and heavier parts can be extras.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ._exits import Exit
from ._output import Output
from ._table import COMMANDS, load, parser


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
    if words[:1] == ["hook"]:
        return _blocking(words)
    return _run(words)


def _blocking(words: list[str]) -> int:
    """For whom any code but 0 and 2 is a "go ahead"."""
    try:
        return 0 if _run(words) == 0 else 2
    except SystemExit as done:
        return 0 if done.code in (0, None) else 2
    except BaseException as error:
        sys.stderr.write(f"agentwarden: {type(error).__name__}\n")
        return 2


def _run(words: list[str]) -> int:
    chosen = words[0] if words and words[0] in COMMANDS else ""
    options = _parse(parser(chosen), words)
    output = Output(as_json=getattr(options, "json", False))
    try:
        return int(load(options.command).run(options, output))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # whoever read the output has gone: nothing can be told any more
        sys.stdout = None
        return Exit.FAILED
    except Exception as error:
        return output.failed(error)


__all__ = ["COMMANDS", "main"]
