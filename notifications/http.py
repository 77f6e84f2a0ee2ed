"""One request to an address that somebody typed in: to the public internet only, at the address that was checked.

Resolve → refuse what is not public → connect to exactly that address, with the name in Host and in the TLS handshake.
No redirects, no proxies of the environment, a deadline for the whole, and an answer that is cut.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult

from agents.addresses import BadAddress, Unreachable, check_address, check_url, port_of, resolve, why

DEADLINE = 15.0  # seconds for everything; shorter than the lease of a delivery
CONNECT = 5.0  # seconds for each address
LARGEST = 65_536  # bytes of an answer that are read
__all__ = ["Answer", "BadAddress", "Unreachable", "check_address", "check_url", "post", "request", "resolve"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `body` holds at most LARGEST bytes."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


def post(url: str, *, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Sends `body`. Raises BadAddress or Unreachable; any answer of the server, 500 too, is returned."""
    return request("POST", url, body=body, headers=headers)


def request(
    method: str,
    url: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    deadline: float = DEADLINE,
    plain: bool = False,
) -> Answer:
    """One request, to one address, within `deadline` seconds once it is checked. Raises BadAddress or Unreachable.

    `plain` lets http:// through in production too: for answers that are signed themselves.
    """
    parts = check_url(url, plain=plain)
    addresses = resolve(parts)
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    end = time.monotonic() + deadline
    connection = _connect(parts, addresses, end)
    # A server that trickles bytes is never idle for long: the clock, not the silence, ends it.
    late = threading.Event()
    watch = threading.Timer(max(end - time.monotonic(), 0.0), _hang_up, [connection, late])
    watch.daemon = True
    watch.start()
    try:
        connection.request(method, target, body=body or None, headers=dict(headers or {}))
        answer = connection.getresponse()
        read = answer.read(LARGEST)
        if late.is_set():  # what was read ends where we hung up: it is no answer
            raise TimeoutError("hung up")
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, read)
    except (OSError, http.client.HTTPException, ValueError) as error:
        within = f" within {deadline:.0f} seconds" if late.is_set() else ""
        raise Unreachable(f"{parts.hostname} did not answer{within}: {why(error)}") from error
    finally:
        watch.cancel()
        connection.close()


def _connect(parts: SplitResult, addresses: list[str], end: float) -> http.client.HTTPConnection:
    """A connection to the first address that takes one by `end` (time.monotonic()).

    The certificate is checked against the name.
    """
    host, port = parts.hostname or "", port_of(parts)
    problem: Exception | None = None
    for address in addresses:
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            raw = socket.create_connection((address, port), timeout=min(CONNECT, left))
        except OSError as error:
            problem = error
            continue
        connection = http.client.HTTPConnection(host, parts.port or port, timeout=CONNECT)
        connection.auto_open = 0  # never a second connection, which would look the name up again
        connection.default_port = 443 if parts.scheme == "https" else 80  # the one that Host leaves out
        try:
            if parts.scheme == "https":
                raw = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
        except OSError as error:
            raw.close()
            raise Unreachable(f"{host} could not be spoken to securely: {why(error)}") from error
        raw.settimeout(DEADLINE)
        connection.sock = raw
        return connection
    raise Unreachable(f"{host} could not be reached: {why(problem)}") from problem


def _hang_up(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it ended by itself just now
