"""A sign of life on the terminal while somebody is waited for; nothing where stderr is no terminal."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN = "|/-\\"
EVERY = 0.1  # seconds


@contextmanager
def spinning(words: str, *, on: bool) -> Iterator[None]:
    """Show `words` and how long they have been true, until the block ends."""
    if not on or not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_spin, args=(words, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _spin(words: str, done: threading.Event) -> None:
    frames = FRAMES if "utf" in (sys.stderr.encoding or "").lower() else PLAIN
    started = time.monotonic()
    for frame in itertools.cycle(frames):
        minutes, seconds = divmod(int(time.monotonic() - started), 60)
        sys.stderr.write(f"\r{frame} {words} {minutes}:{seconds:02}")
        sys.stderr.flush()
        if done.wait(EVERY):
            break
    sys.stderr.write("\r\x1b[K")  # the line is ours: take it back
    sys.stderr.flush()
