"""What the worker's processes count is in the sum that the web server tells."""

import os
import signal
import subprocess
import sys
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
    command = [sys.executable, "-m", "celery", "-A", "warden", "worker", "--concurrency", "2", "--without-gossip"]
    environment = {
        "DJANGO_SETTINGS_MODULE": "warden.settings",
        "DATABASE_URL": servers.test_database_url(),
        "PROMETHEUS_MULTIPROC_DIR": str(counts),
        "WARDEN_HOME": str(tmp_path),
    }
    with (tmp_path / "worker.log").open("wb") as out:
        process = subprocess.Popen(
            [*command, "--without-mingle"], env=os.environ | environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


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
