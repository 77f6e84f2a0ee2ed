"""Two servers that count into one folder, and an organization whose agent speaks to both."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.factories import an_agent, an_organization
from tests.gateway.conftest import World, make_key, people, tiers
from tests.server import Server


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the processes of a test module count."""
    return tmp_path_factory.mktemp("metrics")


@pytest.fixture(scope="module")
def first(django_db_setup: None, counts: Path) -> Iterator[Server]:
    with Server(PROMETHEUS_MULTIPROC_DIR=str(counts)) as server:
        yield server


@pytest.fixture(scope="module")
def second(django_db_setup: None, counts: Path) -> Iterator[Server]:
    with Server(PROMETHEUS_MULTIPROC_DIR=str(counts)) as server:
        yield server


@pytest.fixture
def one(first: Server, transactional_db: None) -> Iterator[World]:
    """Acme, and its agent at the door of the first server."""
    acme = an_organization("Acme")
    owner, approver, colleague = people(acme, "owner", "approver", "approver")
    bot = an_agent(acme, "support-bot", owner=owner)
    tiers(bot)
    keys = make_key(acme, agent=bot), make_key(acme, mode="test")
    with httpx.Client(base_url=first.url, timeout=20) as client:
        yield World(first, acme, owner, approver, colleague, bot, *keys, client)


@pytest.fixture
def other(one: World, second: Server) -> Iterator[World]:
    """The same, at the door of the second server."""
    with httpx.Client(base_url=second.url, timeout=20) as client:
        yield replace(one, server=second, client=client)
