"""agentwarden hook claude-code: decides on the tool calls of Claude Code.

Exit codes are Claude Code's here: 0 with an answer on stdout, or 2, which blocks. It takes any other for "go ahead".
"""

from __future__ import annotations

import argparse
import json
import sys
import threading

from .._claude_hook import LARGEST_INPUT, answer, decide
from ._configuration import configuration
from ._exits import Exit, Trouble
from ._options import common
from ._output import Output, printable

PATIENCE = 20.0  # seconds for the input to arrive
DEFAULT_WAIT = 540.0  # seconds; Claude Code's own limit for a hook is 600, and it goes ahead after that


def configure(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    claude = kinds.add_parser(
        "claude-code",
        help="a PreToolUse hook for Claude Code",
        description="Reads a PreToolUse hook's JSON on stdin, asks Warden, answers allow, deny or ask on stdout.",
    )
    claude.add_argument(
        "--wait",
        type=float,
        default=DEFAULT_WAIT,
        metavar="SECONDS",
        help=f"for a person to decide (default: {DEFAULT_WAIT:g}); keep it a minute below the hook's own timeout",
    )
    claude.add_argument(
        "--confirm", action="store_true", help="have the person at the terminal confirm what Warden allows"
    )
    common(claude)


def run(options: argparse.Namespace, output: Output) -> Exit:
    """Whatever goes wrong is a `deny`, said in the one form that Claude Code reads."""
    try:
        if not options.wait >= 0:
            raise Trouble("--wait is a number of seconds, at least 0")
        raw = _input()
        told = configuration(options)
        with told.client() as guard:
            decided = decide(guard, lambda: told.agent_of(guard), raw, wait=options.wait, confirm=options.confirm)
    except BaseException as error:
        decided = answer("deny", f"Warden could not be asked: {printable(str(error)) or type(error).__name__}")
    sys.stdout.write(f"{json.dumps(decided)}\n")
    sys.stdout.flush()
    return Exit.OK


def _input() -> bytes:
    """What stands on stdin, to its end. Raises Trouble where that takes too long."""
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(sys.stdin.buffer.read(LARGEST_INPUT + 1)), daemon=True)
    reader.start()
    reader.join(PATIENCE)
    if not found:
        raise Trouble("no input arrived on stdin")
    return found[0]
