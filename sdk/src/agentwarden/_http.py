"""The wire itself, by httpx, which is loaded when the first client is made."""

from __future__ import annotations

import ssl
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from ._config import Settings
from ._errors import AgentWardenError, APIError, NetworkError
from ._models import Answer
from ._requests import Request
from ._version import __version__

TOKEN_PREFIX = "wpat_"  # noqa: S105 - a person's access token, with which the command line reads /api
LARGEST_ANSWER = 4 * 1024 * 1024  # bytes, after decompression


class _Key(httpx.Auth):
    """Adds the key at the last moment: no client, no header table and no repr holds it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._settings.api_key.startswith(TOKEN_PREFIX):
            request.headers["Authorization"] = f"Bearer {self._settings.api_key}"
        else:
            request.headers["X-API-Key"] = self._settings.api_key
        yield request


class Reading:
    """An answer as it arrives: bounded in size and in time."""

    def __init__(self, settings: Settings, timeout: float) -> None:
        self._key = settings.api_key.encode()
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > LARGEST_ANSWER:
            raise APIError(f"Warden's answer is malformed: more than {LARGEST_ANSWER} bytes")
        if time.monotonic() > self._deadline:
            raise timed_out(self._timeout)

    def answer(self, response: httpx.Response) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        # An error that quotes the request must not carry the key into a log.
        body = bytes(self._body) if response.status_code == 200 else bytes(self._body).replace(self._key, b"[key]")
        return Answer(response.status_code, headers, body)


@contextmanager
def translated(settings: Settings, request: Request, timeout: float) -> Iterator[None]:
    """httpx's errors as ours."""
    where = f"{request.method} {settings.base_url}{request.path}"
    try:
        yield
    except httpx.TimeoutException as error:
        raise timed_out(timeout) from error
    except httpx.DecodingError as error:
        raise APIError(f"Warden's answer is malformed: {where} could not be decompressed") from error
    except httpx.RequestError as error:
        told = settings.redact(str(error)) or type(error).__name__
        raise NetworkError(f"Warden could not be reached ({where}): {told}") from error


def timed_out(timeout: float) -> NetworkError:
    return NetworkError(f"Warden did not answer within {timeout:.3g} seconds")


def _trust(settings: Settings) -> ssl.SSLContext | bool:
    """The usual authorities; nobody at all for plain http to this machine, where reading them would be for nothing."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if settings.local else True


def options(settings: Settings, ssl_context: ssl.SSLContext | None, transport: Any) -> dict[str, Any]:
    return {
        "base_url": settings.base_url,
        "auth": _Key(settings),
        "headers": {"User-Agent": f"agentwarden-client/{__version__}", "Accept": "application/json"},
        "follow_redirects": False,
        # Waiting for people takes a connection each; a cap would let long waits starve the checks.
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=100),
        "trust_env": not settings.local,  # a proxy must not see a key sent in the clear
        "transport": transport,
        "verify": ssl_context or _trust(settings),
    }


def arguments(request: Request, timeout: float) -> dict[str, Any]:
    headers = dict(request.headers)
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    return {
        "method": request.method,
        "url": request.path,
        "params": dict(request.params) or None,
        "headers": headers,
        "content": request.body,
        "timeout": timeout,
    }


class Wire:
    """One pool of connections, for threads. Redirects are not followed, cookies mean nothing."""

    def __init__(self, settings: Settings, *, ssl_context: ssl.SSLContext | None, transport: Any) -> None:
        self._settings = settings
        self._client = httpx.Client(**options(settings, ssl_context, transport))

    def send(self, request: Request, timeout: float) -> Answer:
        if self._client.is_closed:
            raise AgentWardenError("This client is closed")
        reading = Reading(self._settings, timeout)
        with (
            translated(self._settings, request, timeout),
            self._client.stream(**arguments(request, timeout)) as response,
        ):
            for chunk in response.iter_bytes():
                reading.add(chunk)
            return reading.answer(response)

    @property
    def closed(self) -> bool:
        return self._client.is_closed

    def close(self) -> None:
        self._client.close()
