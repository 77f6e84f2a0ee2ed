"""What the worker's processes count is in the sum that the web server tells."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import current_app

from notifications.models import Delivery
from tests import server as servers
from tests.gateway.conftest import World
from tests.warden.scraping import grown, key, labels, settled
from warden.embedded.home import Home
from warden.embedded.run import counts_folder


@pytest.fixture
def worker(counts: Path, tmp_path: Path) -> Iterator[None]:
    """A Celery worker with two processes, counting into the same folder."""
    with servers.celery_worker(tmp_path, 2, PROMETHEUS_MULTIPROC_DIR=str(counts)):
        yield


@pytest.mark.django_db(transaction=True)
def test_a_message_that_the_worker_sent_is_counted(one: World, worker: None) -> None:
    before = settled(one.server.url)
    one.pending()
    one.pending(key=one.test_key)
    assert settled(one.server.url)[key("agentwarden_queue_age_seconds", queue="announcements")] >= 0
    until = time.monotonic() + 60
    while not (sent := Delivery.objects.filter(state="sent", mode="live").count()) or _owed():
        assert time.monotonic() < until, "nothing was sent"
        current_app.send_task("notifications.tasks.sweep", expires=5)
        time.sleep(0.5)
    after = settled(one.server.url)
    assert grown(before, after, "agentwarden_deliveries_total") == {labels(transport="email", result="sent"): sent}


def _owed() -> bool:
    return Delivery.objects.filter(state="due").exists()


def test_counts_begin_anew_with_every_start(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    folder = counts_folder(home)
    (folder / "counter_1.db").write_bytes(b"of yesterday")
    assert counts_folder(home) == folder
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o077 == 0
