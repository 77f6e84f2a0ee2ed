"""What the record needs once a day, in a process beside the sequencer's, so that nothing waits for it.

It is no task of the worker's: who serves may not write what the record says of itself (see warden.grants).
"""

import subprocess
import sys

import structlog
from django.conf import settings

from audit.signing import Connection

log = structlog.get_logger(__name__)
COMMAND = ("keep_record", "--json")
PATIENCE = 10.0  # seconds for it to end when it is told to
# Due a day after the last time; the first time, a day after the first checkpoint.
DUE = """
SELECT coalesce((SELECT max(at) FROM audit_verification), (SELECT min(at) FROM audit_checkpoint))
    < clock_timestamp() - interval '1 day'
"""


class Daily:
    """At most one such process at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, connection: Connection) -> bool:
        """Starts it where it is due and none is at work; returns whether it did."""
        if self._process is not None:
            if self._process.poll() is None:
                return False
            log.info("record.daily_ended", status=self._process.returncode)
            self._process = None
        row = connection.execute(DUE).fetchone()
        if row is None or not row[0]:
            return False
        self._process = subprocess.Popen([sys.executable, str(settings.BASE_DIR / "manage.py"), *COMMAND])
        log.info("record.daily_started", pid=self._process.pid)
        return True

    def stop(self) -> None:
        """Ends it: it begins again with the next sequencer."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
