"""The wire for tasks of one event loop. Apart, so that a program without one does not load asyncio."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import httpx

from ._config import Settings
from ._errors import AgentWardenError
from ._http import Reading, arguments, options, timed_out, translated
from ._models import Answer
from ._requests import Request


class AsyncWire:
    """The same for tasks of one event loop."""

    def __init__(self, settings: Settings, *, ssl_context: ssl.SSLContext | None, transport: Any) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(**options(settings, ssl_context, transport))

    async def send(self, request: Request, timeout: float) -> Answer:
        if self._client.is_closed:
            raise AgentWardenError("This client is closed")
        try:
            return await asyncio.wait_for(self._send(request, timeout), timeout)
        except asyncio.TimeoutError as error:
            raise timed_out(timeout) from error

    async def _send(self, request: Request, timeout: float) -> Answer:
        reading = Reading(self._settings, timeout)
        with translated(self._settings, request, timeout):
            async with self._client.stream(**arguments(request, timeout)) as response:
                async for chunk in response.aiter_bytes():
                    reading.add(chunk)
                return reading.answer(response)

    @property
    def closed(self) -> bool:
        return self._client.is_closed

    async def close(self) -> None:
        await self._client.aclose()
