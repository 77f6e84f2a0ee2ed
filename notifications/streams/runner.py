"""The process that streams, `manage.py stream`: one an installation, by advisory lock; others wait to take over.

A thread for each stream, so that a receiver that is down holds up nobody else: no other stream, no check, no message.
"""

import time
import uuid
from collections.abc import Callable

import psycopg
import structlog
from django.db import Error, connection

from audit.connection import conninfo
from notifications.models import Stream
from notifications.streams.worker import Worker

log = structlog.get_logger(__name__)
LOCK = 0x57415253  # "WARS"
LOOK = 1.0  # seconds between looks at what streams there are, and at a lock that somebody holds


class Fleet:
    """The workers. `look()` starts and stops them as the streams are now."""

    def __init__(self) -> None:
        self._workers: dict[uuid.UUID, Worker] = {}

    def look(self) -> None:
        wanted = {stream.pk: stream for stream in Stream.objects.filter(paused_at=None)}
        for pk, worker in list(self._workers.items()):
            if pk not in wanted or wanted[pk].revision != worker.stream.revision:
                worker.stopping.set()
            if not worker.is_alive():  # its successor begins no sooner
                del self._workers[pk]
        for pk, stream in wanted.items():
            if pk not in self._workers:
                self._workers[pk] = Worker(stream)
                self._workers[pk].start()

    def stop(self) -> None:
        """Ends them all; what is under way is sent to its end or given up, within a few seconds."""
        for worker in self._workers.values():
            worker.stopping.set()
        for worker in self._workers.values():
            worker.join(5)
        self._workers.clear()


def run(stopped: Callable[[], bool]) -> None:
    """Streams until `stopped`; whatever goes wrong is said, and tried again."""
    while not stopped():
        try:
            with psycopg.connect(**conninfo() | {"application_name": "warden-stream"}, autocommit=True) as own:
                _hold(own, stopped)
        except (psycopg.Error, Error, OSError) as error:
            log.warning("stream.lost", error=f"{type(error).__name__}: {error}")
            time.sleep(LOOK)
        finally:
            connection.close()


def _hold(own: psycopg.Connection[tuple[bool]], stopped: Callable[[], bool]) -> None:
    waiting = False
    while not stopped():
        row = own.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
        if row and row[0]:
            break
        if not waiting:
            log.info("stream.waits")
        waiting = True
        time.sleep(LOOK)
    fleet = Fleet()
    try:
        while not stopped():
            own.execute("SELECT 1")  # raises where the session, and with it the lock, is lost
            fleet.look()
            time.sleep(LOOK)
    finally:
        fleet.stop()
