"""The sequencer in tests: one turn at a time, or as the process it is."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import transaction

from audit import sequencer
from audit.clock import database_now
from audit.connection import conninfo
from audit.leaf import Actor, Entry, Scope
from audit.log import Leaf, Log
from audit.models import Event
from audit.record import record_all
from audit.sequencer import Sequencer
from tests.server import test_database_url

BOT = Actor("agent", str(uuid.UUID(int=7)), "support-bot")


def some_events(organization_id: uuid.UUID, count: int = 1, mode: Scope = "live", **data: Any) -> list[Event]:
    """Checks of an agent, one transaction."""
    now = database_now()
    entries = [
        Entry(
            kind="agent:check:allow",
            organization_id=organization_id,
            mode=mode,
            actor=BOT,
            agent="support-bot",
            action="stripe.refund",
            result="allow",
            data={"number": number, **data},
        )
        for number in range(count)
    ]
    with transaction.atomic():
        record_all(entries, at=now)
    return list(Event.objects.filter(id__in=[entry.id for entry in entries]).order_by("id"))


@contextlib.contextmanager
def session() -> Iterator[Sequencer]:
    """A sequencer that does a turn when it is told to."""
    with sequencer.connect() as own:
        yield Sequencer.start(own)


def sequence() -> int:
    """Puts everything in order that is there; returns how many events it looked at."""
    with session() as running:
        done = 0
        while count := running.turn():
            done += count
        return done


def order(log: Log) -> list[uuid.UUID]:
    """The events of a log, by index; the indexes are contiguous."""
    leaves = list(Leaf.objects.filter(log=log).order_by("index"))
    assert [leaf.index for leaf in leaves] == list(range(len(leaves)))
    return [leaf.event_id for leaf in leaves]


def leaves(log: Log) -> list[bytes]:
    """The leaf hashes of a log, by index."""
    found = dict(Event.objects.filter(id__in=order(log)).values_list("id", "leaf"))
    return [bytes(found[event_id]) for event_id in order(log)]


def tamper(sql: str, *values: object) -> int:
    """Changes the record as only a superuser can, past its triggers; returns how many rows it was."""
    forced = {"user": "postgres", "options": "-c session_replication_role=replica"}
    with psycopg.connect(**conninfo() | forced) as superuser:
        return superuser.execute(sql, values or None).rowcount


def wait_for(happened: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


class Process:
    """`manage.py sequence`."""

    def __init__(self, home: str, **environment: str) -> None:
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "warden.settings",
            "DATABASE_URL": test_database_url(),
            "WARDEN_HOME": home,
            **environment,
        }
        self.log = Path(home) / "sequencer.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Process":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(signal.SIGTERM)

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "sequence"],
                env=os.environ | self.environment,
                cwd=settings.BASE_DIR,
                stdout=out,
                stderr=out,
            )

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        assert self.process
        self.process.send_signal(how)  # nothing where it has ended
        self.process.wait(20)
