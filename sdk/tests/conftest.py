from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from scripted_warden import ScriptedWarden

from agentwarden import AgentWarden, AsyncAgentWarden

# How long a machine takes is no finding. The same examples each time; others with --hypothesis-profile=random.
settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("random"), derandomize=True)
settings.load_profile("repeatable")

KEY = "test_0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AGENTWARDEN_API_KEY", "AGENTWARDEN_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def warden() -> Iterator[ScriptedWarden]:
    server = ScriptedWarden()
    yield server
    server.close()


@pytest.fixture
def guard(warden: ScriptedWarden) -> Iterator[AgentWarden]:
    with AgentWarden(KEY, warden.url, timeout=5, backoff=0.001) as client:
        yield client


class Both:
    """One client of either kind; `await both.check(…)` works for the blocking one too."""

    def __init__(self, client: AgentWarden | AsyncAgentWarden) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            value = method(*args, **kwargs)
            return await value if inspect.isawaitable(value) else value

        return call


@pytest.fixture(params=["sync", "async"])
async def make(request: pytest.FixtureRequest, warden: ScriptedWarden) -> Any:
    """Makes clients of both kinds, so that each test is one statement about two worlds."""
    made: list[Both] = []

    def factory(url: str = warden.url, **options: Any) -> Both:
        kind = AgentWarden if request.param == "sync" else AsyncAgentWarden
        made.append(Both(kind(KEY, url, **{"timeout": 5, "backoff": 0.001, **options})))
        return made[-1]

    yield factory
    for client in made:
        await client.close()
