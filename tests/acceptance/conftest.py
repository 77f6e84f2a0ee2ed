"""What is shown here is shown on the real thing: a running server, PostgreSQL, Redis, Chromium, released clients."""

from collections.abc import Iterator

import pytest

from tests.acceptance.person import Browser
from tests.gateway.conftest import world

__all__ = ["world"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, started when first needed."""
    with Browser() as browser:
        yield browser
