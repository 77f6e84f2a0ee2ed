"""What it costs a check that the record is put in order and signed at the same time."""

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from audit.clock import database_now
from audit.lag import seconds as behind

ROUNDS = 4
CAUGHT_UP = 2.0  # seconds that the oldest event may wait when a measurement begins
PATIENCE = 300.0  # seconds to catch up


@contextlib.contextmanager
def sequencer() -> Iterator[None]:
    """A sequencer that has put in order what there was. Raises RuntimeError where it does not get there."""
    log = Path(settings.WARDEN_HOME) / "bench-sequencer.log"
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "manage.py", "sequence"], stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + PATIENCE
        while behind(database_now()) > CAUGHT_UP:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the sequencer does not catch up:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(20)


def measure(results: dict[str, Any], server: Any, key: str, seconds: int, load: Any) -> None:
    """Allows at 32 connections with a sequencer at work, of those without: in turns, as machines change their mind."""
    ratios = []
    for _ in range(ROUNDS):
        alone = load(server, key, 25.0, '"allowed":true', 32, seconds)["per_second"]
        with sequencer():
            beside = load(server, key, 25.0, '"allowed":true', 32, seconds)["per_second"]
        ratios.append(beside / alone)
        print(f"  {alone:,.0f} allows a second alone, {beside:,.0f} beside the sequencer")
    results["ratios"]["sequenced_c32"] = statistics.median(ratios)
