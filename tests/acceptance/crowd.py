"""Many requests at the same moment, over as many servers as there are."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.server import Server

CONNECTIONS = 50  # to each server


@dataclass
class Ask:
    """One request: a POST, with a JSON body where there is one."""

    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def crowd(servers: Sequence[Server], key: str, asks: Sequence[Ask], seconds: float = 60) -> list[httpx.Response]:
    """The answers to `asks`, in their order: dealt out over `servers`, CONNECTIONS at a time to each."""
    return asyncio.run(_crowd(servers, key, asks, seconds))


async def _crowd(servers: Sequence[Server], key: str, asks: Sequence[Ask], seconds: float) -> list[httpx.Response]:
    answers: dict[int, httpx.Response] = {}
    everybody = CONNECTIONS * len(servers)
    ready = asyncio.Barrier(everybody)

    async def member(place: int) -> None:
        server = servers[place % len(servers)]
        async with httpx.AsyncClient(base_url=server.url, timeout=seconds, verify=False) as client:
            client.headers["X-API-Key"] = key
            await client.get("/sdk/nothing")  # open the connection first, so that it is the requests that race
            await ready.wait()
            for number in range(place, len(asks), everybody):
                ask = asks[number]
                answers[number] = await client.post(ask.path, json=ask.body, headers=ask.headers)

    async with asyncio.TaskGroup() as group:
        for place in range(everybody):
            group.create_task(member(place))
    return [answers[number] for number in range(len(asks))]
