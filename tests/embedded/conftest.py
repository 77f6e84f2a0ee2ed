"""Homes of their own for tests that start servers, whatever the test run itself uses."""

import shutil
from pathlib import Path

import pytest

from warden.embedded.home import Home
from warden.embedded.services import services

OF_THE_TEST_RUN = ("DATABASE_URL", "REDIS_URL", "WARDEN_HOME", "WARDEN_ENV", "SECRET_KEY", "SITE_URL", "HOST", "PORT")


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OF_THE_TEST_RUN:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty one."""
    return Home(tmp_path / "home")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PostgreSQL cluster to copy: making one takes longer than most tests."""
    made = Home(tmp_path_factory.mktemp("cluster"))
    with pytest.MonkeyPatch.context() as patch:
        for name in OF_THE_TEST_RUN:
            patch.delenv(name, raising=False)
        with services(made, durable=False):
            pass
    return made.path / "postgres"


@pytest.fixture
def lived_in(home: Home, cluster: Path) -> Home:
    """A home that has been started before."""
    shutil.copytree(cluster, home.path / "postgres")
    return home
