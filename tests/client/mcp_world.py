"""MCP servers, and our proxy in front of them, as a client starts them."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream
from django.db import connection
from mcp import Client, StdioServerParameters, stdio_client

from tests.gateway.conftest import World

EVERYTHING = [sys.executable, str(Path(__file__).with_name("everything_server.py"))]
TIME = [sys.executable, "-m", "mcp_server_time", "--local-timezone", "UTC"]


async def in_database[T](function: Callable[[], T]) -> T:
    """A query's answer, from a thread that leaves no connection behind."""

    def run() -> T:
        try:
            return function()
        finally:
            connection.close()

    return await anyio.to_thread.run_sync(run)


def environment(world: World) -> dict[str, str]:
    ours = {"AGENTWARDEN_BASE_URL": world.server.url, "AGENTWARDEN_API_KEY": world.key}
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | ours


@contextlib.asynccontextmanager
async def started(world: World, *words: str, **options: Any) -> AsyncIterator[Client]:
    """`agentwarden` with these words, and a client of it."""
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "agentwarden", *words], env=environment(world)
    )
    async with Client(stdio_client(parameters), **options) as client:
        yield client


@contextlib.asynccontextmanager
async def with_late_answers(world: World, seconds: float) -> AsyncIterator[World]:
    """The same world, where what the server answers is under way for so long."""

    async def pump(source: SocketStream, target: SocketStream, wait: float) -> None:
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # either side hung up
            async for part in source:
                await anyio.sleep(wait)
                await target.send(part)

    async def serve(near: SocketStream) -> None:
        far = await anyio.connect_tcp("127.0.0.1", world.server.port)
        async with near, far, anyio.create_task_group() as pumps:
            pumps.start_soon(pump, near, far, 0)
            await pump(far, near, seconds)
            pumps.cancel_scope.cancel()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        yield replace(world, server=SimpleNamespace(url=url))
        tasks.cancel_scope.cancel()


def proxied(world: World, name: str, command: list[str], *words: str, **options: Any) -> Any:
    """A client of `command` behind the proxy."""
    return started(world, "mcp-proxy", "--name", name, *words, "--", *command, **options)


def text(result: Any) -> str:
    return "".join(block.text for block in result.content)
