"""What the exit code of a command says: a script that tests for success goes on after a yes alone."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """0 is a yes, or done; everything else is not."""

    OK = 0
    DENIED = 1
    USAGE = 2  # argparse's own
    WAITING = 3
    ENDED = 4
    FAILED = 5
    INTERRUPTED = 130  # 128 + SIGINT, as shells say it


EXITS = {
    Exit.OK: "allowed, approved, or done",
    Exit.DENIED: "denied, or a check or test that does not hold",
    Exit.USAGE: "wrong arguments or settings",
    Exit.WAITING: "a person has not decided yet",
    Exit.ENDED: "expired, cancelled, claimed before, or changed by the approver",
    Exit.FAILED: "Warden could not be asked",
    Exit.INTERRUPTED: "interrupted",
}


class Trouble(Exception):
    """Something to tell the person at the terminal, and the exit code that goes with it."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.code = code
