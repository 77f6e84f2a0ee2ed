"""What strangers send, and how many come at once, never takes more than its share of the process."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import check_password, get_hasher, make_password

from accounts.hashers import Argon2
from tests.server import Server
from warden import people
from warden.people import People

GONE = {"type": "http.disconnect"}


def part(body: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class Client:
    """One request: what it sends, and what it is answered."""

    def __init__(self, *messages: dict[str, Any], path: str = "/") -> None:
        self._messages = list(messages)
        self.scope = {"type": "http", "path": path, "method": "POST", "headers": []}
        self.statuses: list[int] = []

    async def receive(self) -> dict[str, Any]:
        if not self._messages:
            await asyncio.sleep(60)
        return self._messages.pop(0)

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.statuses.append(message["status"])

    async def ask(self, served: Callable[..., Any]) -> int:
        await served(self.scope, self.receive, self.send)
        (status,) = self.statuses
        return status


class Django:
    """Stands for Django: reads to the end, answers when it is let, and knows how many it had at once."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.inside = self.most = 0
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.bodies.append((await receive())["body"])
        await self.let.wait()
        self.inside -= 1
        await send({"type": "http.response.start", "status": 200})


async def test_a_body_reaches_django_whole_and_one_that_is_too_large_never() -> None:
    django = Django()
    django.let.set()
    served = People(django)
    assert await Client(part(b"a", more=True), part(b"b")).ask(served) == 200
    half = b"x" * (people.BODY // 2 + 1)
    assert await Client(part(half, more=True), part(half, more=True)).ask(served) == 413
    assert django.bodies == [b"ab"]


async def test_who_sends_slowly_takes_no_place(settings: Any) -> None:
    settings.GATEWAY_BODY_SECONDS = 0.05
    django = Django()
    assert await Client(part(b"a", more=True)).ask(People(django)) == 408
    assert django.most == 0


async def test_a_crowd_waits_is_turned_away_and_never_asks_for_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "QUEUE", 5)
    django = Django()
    served = People(django)
    crowd = [asyncio.create_task(Client(part()).ask(served)) for _ in range(40)]
    await asyncio.sleep(0.1)
    places = django.most
    assert places <= 10  # of a pool of 16
    health = asyncio.create_task(Client(part(), path="/health/live").ask(served))
    await asyncio.sleep(0.05)
    assert django.most == places + 1
    django.let.set()
    assert await health == 200
    assert sorted(await asyncio.gather(*crowd)) == [200] * (places + 5) + [503] * (40 - places - 5)
    assert await Client(part()).ask(served) == 200


def test_passwords_are_hashed_by_argon2_a_few_at_a_time(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["accounts.hashers.Argon2"]
    encoded = make_password("correct horse battery staple")
    assert isinstance(get_hasher("default"), Argon2)
    assert encoded.startswith("argon2$argon2id$")
    assert check_password("correct horse battery staple", encoded)
    assert not check_password("another", encoded)


def test_pages_are_still_served(server: Server) -> None:
    import httpx

    assert httpx.get(f"{server.url}/accounts/login/").status_code == 200
    large = httpx.post(f"{server.url}/accounts/login/", content=b"x" * (people.BODY + 1))
    assert large.status_code == 413
