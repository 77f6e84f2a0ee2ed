"""Django behind bounds: what strangers send and how many come at once costs no thread, disk or connection beyond them.

Django under ASGI gives each request a thread, and keeps a body of any length on disk before a view looks at it. The
agents' door is in the same process, and shares the pool of connections.
"""

import asyncio
import secrets
from typing import Any

from django.conf import settings

from gateway import answers
from gateway.app import Receive, Scope, Send, TooSlow, read_body, respond

BODY = 1_048_576 + 65_536  # bytes: DATA_UPLOAD_MAX_MEMORY_SIZE, and the rest of a form
QUEUE = 500  # requests that wait for a place
SPARED = 6  # connections of the pool that are left to the agents' door, and to those who ask for our health
HEALTH = "/health/"
BUSY = answers.error(503, "Too many people at once; try again", None, (b"retry-after", b"1"))


class Places:
    """So many at once, and so many that wait for one of them."""

    def __init__(self, number: int) -> None:
        self.free = asyncio.Semaphore(number)
        self.most = number + QUEUE
        self.inside = 0


class People:
    """Serves people: each request has a place, and thereby a connection, or waits for one."""

    def __init__(self, django: Any) -> None:
        self._django = django
        pool: int = settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"]
        self._places = Places(max(2, pool - SPARED))
        self._health = Places(2)  # of their own: who asks whether we are well need not wait for everybody else

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The body is read first: who sends it slowly takes nobody's place."""
        try:
            body = await read_body(receive, BODY)
        except TooSlow:
            await respond(send, answers.TOO_SLOW, secrets.token_hex(12).encode())
            return
        places = self._health if scope["path"].startswith(HEALTH) else self._places
        if body is None or places.inside >= places.most:
            await respond(send, answers.TOO_LARGE if body is None else BUSY, secrets.token_hex(12).encode())
            return
        places.inside += 1
        try:
            async with places.free:
                await self._django(scope, _replay(body, receive), send)
        finally:
            places.inside -= 1


def _replay(body: bytes, receive: Receive) -> Receive:
    """What was read already, then what comes: that the client has gone."""
    read = False

    async def again() -> dict[str, Any]:
        nonlocal read
        if read:
            return await receive()
        read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
