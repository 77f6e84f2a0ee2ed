"""What tests of streams share: a home for the sequencer's key, a worker that does a turn when told, a receiver."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from accounts.by import COMMAND_LINE
from accounts.models import Organization
from notifications.models import Stream
from notifications.streams import services
from notifications.streams.worker import Worker
from tests.notifications.conftest import receiver  # noqa: F401 - a fixture
from tests.streams.rsyslog import Authority, Rsyslog


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, settings: Any) -> None:
    settings.WARDEN_HOME = tmp_path
    settings.WEBHOOK_ALLOW_PRIVATE_NETWORKS = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def rsyslog(authority: Authority) -> Iterator[Rsyslog]:
    """One that listens over TLS."""
    made = Rsyslog(authority)
    made.start()
    yield made
    made.end()


def a_stream(organization: Organization, kind: str = "webhook", address: str = "", **fields: Any) -> tuple[Stream, str]:
    """A stream from the first event on, and its secret."""
    values = {"name": f"SIEM {Stream.objects.count() + 1}", "mode": "live"} | fields
    with transaction.atomic():
        return services.create(organization=organization, kind=kind, address=address, by=COMMAND_LINE, **values)


@contextmanager
def working(stream: Stream) -> Iterator[Worker]:
    """A worker of the stream as it is now, which does a turn when it is told to."""
    worker = Worker(Stream.objects.get(pk=stream.pk))
    try:
        yield worker
    finally:
        worker._sender.close()


def stream_all(stream: Stream) -> None:
    """Everything there is, by one worker. Raises NotTaken."""
    with working(stream) as worker:
        while worker.turn() == 0:
            continue


def position(stream: Stream, scope: str = "live") -> tuple[int, int]:
    """The next index, and the settled one."""
    found = stream.positions.get(scope=scope)
    return found.next_index, found.settled_index
