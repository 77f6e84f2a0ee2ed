"""Asks an external OPA, by a pool of connections that go to checked addresses only."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore
from django.conf import settings

from agents.addresses import BadAddress, check_address, check_url
from agents.opa.gate import Gate, OpaSaid, failed, read_answer

CONNECTIONS = 32  # at once, of one process, to one OPA
WAITING = 512  # questions that wait for one; what comes on top is denied at once
LARGEST = 65_536  # bytes of an answer
IDLE = 30.0  # seconds that a connection is kept
TOKEN = 8_192  # bytes of a token
LOOK_UPS = ThreadPoolExecutor(4, "opa-names")  # a name server that hangs delays no other thread


class BadCredentials(Exception):
    """A file that is named is not there, or does not hold what it should. The text is for whoever named it."""


class Credentials:
    """What the gate's files hold, and when they were written: those that change are read again."""

    def __init__(self, gate: Gate) -> None:
        """Reads the files. Raises BadCredentials."""
        self.written = written(gate)
        self.headers = [(b"Content-Type", b"application/json"), (b"Accept", b"application/json")]
        if gate.token_file:
            self.headers.append((b"Authorization", b"Bearer " + _token(gate)))
        try:
            self.context = ssl.create_default_context(cafile=_path(gate, gate.ca_file) if gate.ca_file else None)
        except (OSError, ValueError) as error:
            raise BadCredentials(f"{gate.ca_file} holds no certificate of an authority.") from error
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        if gate.certificate_file:
            key = _path(gate, gate.key_file) if gate.key_file else None
            try:
                self.context.load_cert_chain(_path(gate, gate.certificate_file), key, password=_no_password)
            except (OSError, ValueError) as error:
                raise BadCredentials(f"{gate.certificate_file} holds no certificate that fits its key.") from error


def _no_password() -> str:
    raise ValueError("a key with a password cannot be read unattended")


def _path(gate: Gate, name: str) -> Path:
    """A file of this organization, and of no other. Raises BadCredentials."""
    if not settings.OPA_CREDENTIALS_DIR:
        raise BadCredentials("OPA_CREDENTIALS_DIR is not set: whoever runs Warden says there where such files lie.")
    path = Path(settings.OPA_CREDENTIALS_DIR, gate.folder, name)
    if not path.is_file():
        raise BadCredentials(f"There is no file {name} in the folder {gate.folder} of OPA_CREDENTIALS_DIR.")
    return path


def _token(gate: Gate) -> bytes:
    try:
        with _path(gate, gate.token_file).open("rb") as file:
            token = file.read(TOKEN).strip()
    except OSError as error:
        raise BadCredentials(f"{gate.token_file} cannot be read.") from error
    if not token or not all(0x21 <= byte <= 0x7E for byte in token):
        raise BadCredentials(f"{gate.token_file} holds no token: one line of visible ASCII.")
    return token


def written(gate: Gate) -> tuple[float, ...]:
    """When its files were written last. Raises BadCredentials."""
    names = (gate.token_file, gate.ca_file, gate.certificate_file, gate.key_file)
    try:
        return tuple(_path(gate, name).stat().st_mtime for name in names if name)
    except OSError as error:
        raise BadCredentials("A file of the external OPA cannot be read.") from error


class _Checked(httpcore.AsyncNetworkBackend):
    """Opens connections to the addresses that were checked, and to nothing else."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as httpcore has it
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(LOOK_UPS, _look_up, host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address") from error
        problem: httpcore.ConnectError | None = None
        for address in found:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                problem = error
        raise problem or httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("not by a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _look_up(host: str, port: int) -> list[str]:
    """All addresses of the host, each checked. Raises BadAddress, OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        check_address(ip_address(address.partition("%")[0]))
    return addresses


class Client:
    """One OPA, its credentials as they were read, and the connections to it."""

    def __init__(self, gate: Gate) -> None:
        """Reads files: not on the loop. Raises BadCredentials."""
        self.gate = gate
        self.credentials = Credentials(gate)
        self._asking = 0
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=self.credentials.context,
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=IDLE,
            network_backend=_Checked(),
        )

    async def ask(self, text: str) -> OpaSaid:
        """Asks, within the gate's time for everything. Never raises; what is no answer is a denial."""
        if self._asking >= WAITING:
            return failed("Too many questions wait for it")
        began = time.monotonic()
        self._asking += 1
        try:
            async with asyncio.timeout(self.gate.timeout_ms / 1_000):
                said = await self._ask(text.encode())
        except TimeoutError:
            said = failed(f"No answer within {self.gate.timeout_ms} ms")
        except BadAddress as error:
            said = failed(str(error))
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            said = failed(f"It could not be asked: {error or type(error).__name__}")
        finally:
            self._asking -= 1
        took = round((time.monotonic() - began) * 1_000)
        return OpaSaid(said.outcome, said.reason, said.because, took)

    async def _ask(self, body: bytes) -> OpaSaid:
        check_url(self.gate.url)
        try:
            return await self._post(body)
        except httpcore.RemoteProtocolError:  # a kept connection that it closed just now: asking twice does no harm
            return await self._post(body)

    async def _post(self, body: bytes) -> OpaSaid:
        async with self._pool.stream("POST", self.gate.url, headers=self.credentials.headers, content=body) as response:
            read = bytearray()
            async for part in response.aiter_stream():
                read += part
                if len(read) > LARGEST:
                    return failed(f"Its answer is larger than {LARGEST} bytes")
            return read_answer(response.status, bytes(read))

    async def close(self) -> None:
        """Ends its connections."""
        with contextlib.suppress(httpcore.NetworkError, OSError):
            await self._pool.aclose()


async def ask_once(gate: Gate, text: str) -> OpaSaid:
    """One question, by a connection of its own: for the simulator, and for trying a setting."""
    try:
        client = await asyncio.to_thread(Client, gate)
    except BadCredentials as error:
        return failed(str(error))
    try:
        return await client.ask(text)
    finally:
        await client.close()
