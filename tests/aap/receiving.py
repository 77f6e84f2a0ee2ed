"""The package's own Receiver behind a real HTTP server, on a thread; and a receiver that misbehaves."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from agentapprovalprotocol import Receiver

from tests.server import free_port

Reply = tuple[int, bytes, dict[str, str]]


@dataclass
class Message:
    """One POST that came in."""

    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def data(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


@dataclass
class Inbox:
    """`with Inbox(receiver) as inbox:` serves it at inbox.url, `async with` on the loop that runs.

    `instead` answers in its place where it gives a reply.
    """

    receiver: Receiver | None = None
    instead: Callable[[Message], Reply | None] | None = None
    delay: float = 0.0
    port: int = field(default_factory=free_port)
    got: list[Message] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None
    _task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/aap/events"

    @property
    def told(self) -> list[Message]:
        """Notifications, without verifications."""
        return [message for message in self.got if message.data["type"] == "request.resolved"]

    def _made(self) -> uvicorn.Server:
        config = uvicorn.Config(self, port=self.port, log_level="error", lifespan="off", ws="none", loop="asyncio")
        self._server = uvicorn.Server(config)
        return self._server

    async def __aenter__(self) -> "Inbox":
        server = self._made()
        self._task = asyncio.create_task(server.serve())
        for _ in range(500):
            await asyncio.sleep(0.02)
            if server.started:
                break
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server and self._task:
            self._server.should_exit = True
            await self._task

    def __enter__(self) -> "Inbox":
        self._server = self._made()
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        until = time.monotonic() + 10
        while not self._server.started and time.monotonic() < until:
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(10)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        message = Message(headers, body, time.monotonic())
        self.got.append(message)
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(self.delay)
        self.busy -= 1
        reply = self.instead(message) if self.instead else None
        if reply is None and self.receiver is not None:
            status, answer = await self.receiver.handle(headers, body)
            reply = (status, answer, {})
        status, answer, more_headers = reply or (204, b"", {})
        sent = [(name.encode(), value.encode()) for name, value in more_headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": answer})


def answer(status: int, **headers: str) -> Callable[[Message], Reply | None]:
    """Verifications as they should be; to notifications, this."""

    def instead(message: Message) -> Reply | None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return None if message.data["type"] == "webhook.verification" else (status, b"", named)

    return instead


def delivery(url: str, receiver: Receiver) -> Mapping[str, str | None]:
    """What a provisioner sends to register it."""
    return {
        "type": "webhook",
        "url": url,
        "registration_id": receiver.registration_id,
        "signing_secret": receiver.secret,
    }
