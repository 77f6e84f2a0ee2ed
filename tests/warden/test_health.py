"""/health: what is broken is said in a word, and only what stops decisions makes a server unready."""

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import psycopg
import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from pytest_django import Settings

from gateway import writer
from gateway.app import conninfo
from gateway.writer import Batch, Job, Lane, Unavailable
from notifications.models import Announcement, Delivery
from tests import server as servers
from tests.docs.pages import blocks
from tests.factories import an_organization
from tests.gateway.conftest import World
from tests.server import Server
from warden import health

WELL = {"database": "ok", "migrations": "ok", "outbox": "ok", "record": "ok", "redis": "ok", "writer": "ok"}


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process remembers that it saw a migrated database; each test begins as a fresh one."""
    monkeypatch.setattr(health, "_migrated", False)


def ready(client: Client) -> tuple[int, str, dict[str, str]]:
    response = client.get("/health/ready")
    told = response.json()
    return response.status_code, told["status"], told["parts"]


@pytest.mark.django_db
def test_all_is_well(client: Client) -> None:
    assert ready(client) == (200, "ok", WELL)
    assert client.get("/health/live").json() == {"status": "ok"}


def test_the_page_shows_the_parts_there_are() -> None:
    [shown] = blocks("docs/metrics.md", "json")
    assert json.loads(shown.text)["parts"].keys() == WELL.keys()


@pytest.mark.django_db
def test_nobody_needs_to_log_in_and_nothing_is_kept(client: Client) -> None:
    response = client.get("/health/ready")
    assert "no-store" in response["Cache-Control"]
    assert not response.cookies
    assert client.post("/health/ready").status_code == 405


@pytest.mark.django_db
def test_without_redis_agents_are_answered(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert ready(client) == (200, "degraded", WELL | {"redis": "unreachable"})


@pytest.mark.django_db
def test_a_migration_that_is_missing_stops_it(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'gateway'")
    unknown = {"migrations": "pending", "outbox": "unknown", "record": "unknown"}
    assert ready(client) == (503, "unavailable", WELL | unknown)


@pytest.mark.django_db
def test_an_empty_database_is_one_that_lacks_migrations(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations")
        cursor.execute("ALTER TABLE notifications_announcement RENAME TO gone")
    assert ready(client)[2]["migrations"] == "pending"


@pytest.mark.django_db
@pytest.mark.parametrize(("seconds", "outbox"), [(30, "ok"), (90, "late")])
def test_an_announcement_nobody_works_out_makes_it_degraded(client: Client, seconds: int, outbox: str) -> None:
    announced(seconds)
    assert ready(client) == (200, "ok" if outbox == "ok" else "degraded", WELL | {"outbox": outbox})


@pytest.mark.django_db
@pytest.mark.parametrize(("seconds", "outbox"), [(-600, "ok"), (30, "ok"), (90, "late")])
def test_a_message_past_its_time_makes_it_degraded(client: Client, seconds: int, outbox: str) -> None:
    announcement = announced(0, fanned_out_at=Now())
    Delivery.objects.create(
        organization=announcement.organization,
        mode="live",
        transport="email",
        address="ann@example.com",
        event="approval.requested",
        announcement=announcement,
        due_at=Now() - timedelta(seconds=seconds),
    )
    assert ready(client)[2]["outbox"] == outbox


def announced(seconds: int, **fields: Any) -> Announcement:
    return Announcement.objects.create(
        organization=an_organization(),
        mode="live",
        event="approval.requested",
        target="apr_1",
        created_at=Now() - timedelta(seconds=seconds),
        **fields,
    )


class Append(Job[str]):
    """Writes where somebody else holds the lock, or where nobody does."""


async def append(batch: Batch, jobs: list[Append]) -> None:
    await batch.connection.execute("LOCK TABLE gateway_ratewindow IN ROW EXCLUSIVE MODE")
    for job in jobs:
        job.answer = "written"


@pytest.mark.django_db(transaction=True)
async def test_a_writer_that_commits_nothing_is_stuck_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "STUCK", 1.5)
    lane: Lane[Append] = Lane("quick", conninfo(), append)
    lane.start()
    try:
        assert health._writer() == "ok"
        async with await psycopg.AsyncConnection.connect(**conninfo()) as holder:
            await holder.execute("LOCK TABLE gateway_ratewindow IN ACCESS EXCLUSIVE MODE")
            for _ in range(2):  # each gives up waiting for the lock after two seconds
                with pytest.raises(Unavailable):
                    await ask(lane)
            assert health._writer() == "stuck"
        assert await ask(lane) == "written"
        assert health._writer() == "ok"
    finally:
        await lane.stop()
    assert health._writer() == "ok"


async def ask(lane: Lane[Append]) -> str:
    job = Append()
    lane.submit(job)
    answer: str = await job.future
    return answer


@pytest.fixture
def cut(tmp_path: Path, one: World) -> Iterator[tuple[Server, Path]]:
    """A server of its own, and the link through which it finds the database."""
    parts = urlsplit(servers.test_database_url())
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    link = tmp_path / "db"
    link.symlink_to(query["host"])
    cut = urlencode(query | {"host": str(link), "application_name": "cut"})
    url = f"{parts.scheme}://{parts.netloc}{parts.path}?{cut}"  # geturl() drops an empty netloc, and its slashes
    with Server(DATABASE_URL=url, METRICS_TOKEN="") as server:
        yield server, link


@pytest.mark.django_db(transaction=True)
def test_a_server_that_lost_its_database_says_so_and_nothing_more(cut: tuple[Server, Path]) -> None:
    server, link = cut
    where = os.readlink(link)
    assert httpx.get(f"{server.url}/health/ready").json()["status"] == "ok"
    link.unlink()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cut'")
    lost = httpx.get(f"{server.url}/health/ready", timeout=40)
    assert (lost.status_code, lost.json()["status"]) == (503, "unavailable")
    unknown = {"database": "unreachable", "migrations": "unknown", "outbox": "unknown", "record": "unknown"}
    assert lost.json()["parts"] == WELL | unknown
    for inside in (str(link), "psycopg", "Error", "socket", "warden"):
        assert inside not in lost.text
    assert httpx.get(f"{server.url}/health/live", timeout=40).status_code == 200
    counted = httpx.get(f"{server.url}/metrics", timeout=40)
    assert counted.status_code == 200
    assert "agentwarden_database_up 0.0" in counted.text

    link.symlink_to(where)
    until = time.monotonic() + 40
    while httpx.get(f"{server.url}/health/ready", timeout=40).json()["status"] != "ok":
        assert time.monotonic() < until
