"""Syslog over TCP and TLS. Syslog has no acknowledgement: the end of a connection is made one.

Everything is written, then our side of the connection is closed; a receiver closes its own once it has read to the end.
That end is waited for, and is what moves the position. A receiver that dies before it, or resets the connection, has
taken nothing as far as we know, and so has one that closes first. Between batches a connection stands idle, so that a
receiver that goes away is noticed: what it took lately may have been in its memory only, and is sent again.
"""

import fcntl
import os
import re
import select
import socket
import ssl
import struct
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from agents.addresses import why
from audit.clock import database_now
from audit.sequenced import Sequenced
from notifications import http, vault
from notifications.models import Stream
from notifications.streams import rfc5424
from notifications.streams.sending import NotTaken

CONNECT = 5.0  # seconds for each address
PATIENCE = 15.0  # seconds without progress
OVERLAP = 30.0  # seconds
KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 3))
READ = 4_096
ESTABLISHED = 1


class Syslog:
    """A connection to one receiver, opened ahead of need."""

    overlap = OVERLAP

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._socket: socket.socket | None = None

    def send(self, events: Sequence[Sequenced]) -> None:
        self._send(b"".join(rfc5424.frame(rfc5424.message(self._stream, event)) for event in events))
        self._ahead()

    def test(self) -> str:
        self._send(rfc5424.frame(rfc5424.test_message(database_now())))
        return "The receiver read a test message to its end."

    def lost(self) -> bool:
        """An idle connection that became readable: nobody says anything to a client of syslog but goodbye."""
        if self._socket is None:
            return False
        watch = select.poll()
        watch.register(self._socket, select.POLLIN)
        if not watch.poll(0):
            return False
        try:
            self._socket.settimeout(0)  # TLS has things of its own to say
            gone = self._socket.recv(READ) == b""
        except (ssl.SSLWantReadError, BlockingIOError):
            gone = False
        except OSError:
            gone = True
        if gone:
            self.close()
        else:
            self._socket.settimeout(PATIENCE)
        return gone

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, data: bytes) -> None:
        connection = self._socket or self._open()
        try:
            connection.sendall(data)
            _end(connection)
        except OSError as error:
            raise NotTaken(f"{self._stream.address} did not read to the end: {why(error)}") from error
        finally:
            self.close()

    def _ahead(self) -> None:
        """A connection for what comes next. That there is none now is found out then."""
        try:
            self._open()
        except NotTaken:
            self.close()

    def _open(self) -> socket.socket:
        host, port = split(self._stream.address)
        try:
            addresses = http.resolve(urlsplit(f"//{_bracketed(host)}:{port}"))
        except (http.BadAddress, http.Unreachable) as error:
            raise NotTaken(str(error)) from error
        problem: OSError | None = None
        for address in addresses:
            try:
                raw = socket.create_connection((address, port), timeout=CONNECT)
            except OSError as error:
                problem = error
                continue
            self._socket = self._dressed(raw, host)
            return self._socket
        raise NotTaken(f"{self._stream.address} could not be reached: {why(problem)}")

    def _dressed(self, raw: socket.socket, host: str) -> socket.socket:
        """The connection as it is spoken on: alive while idle, and in TLS."""
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, seconds in KEEPALIVE:
            raw.setsockopt(socket.IPPROTO_TCP, option, seconds)
        dressed = raw
        try:
            if self._stream.kind == "syslog_tls":
                dressed = context_of(self._stream).wrap_socket(raw, server_hostname=host)
        except (OSError, vault.Unopenable) as error:
            raw.close()
            raise NotTaken(f"{self._stream.address} could not be spoken to securely: {why(error)}") from error
        dressed.settimeout(PATIENCE)
        return dressed


def split(address: str) -> tuple[str, int]:
    """`host:port`, `[::1]:6514`. Raises http.BadAddress."""
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.netloc != address or re.search(r"[^\x21-\x7e]|@", address):
        raise http.BadAddress("Write host:port, such as logs.example.com:6514.")
    return host, port


def context_of(stream: Stream) -> ssl.SSLContext:
    """Whom we trust, and what we show. Raises ssl.SSLError for what is no PEM, vault.Unopenable."""
    context = ssl.create_default_context(cadata=stream.authority or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if stream.certificate:
        with _file(f"{stream.certificate}\n{vault.unseal(stream.secret)}\n") as name:
            context.load_cert_chain(name, password=lambda: b"")  # one that needs a password is refused, not asked for
    return context


@contextmanager
def _file(text: str) -> Iterator[str]:
    """The name of a file that holds `text`, which the ssl module wants; where it can be, in memory alone."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("warden", os.MFD_CLOEXEC), "w") as out:
            out.write(text)
            out.flush()
            yield f"/proc/self/fd/{out.fileno()}"
    else:
        with tempfile.TemporaryDirectory() as folder:  # readable by this user alone
            file = Path(folder) / "pair.pem"
            file.write_text(text)
            yield str(file)


def _end(connection: socket.socket) -> None:
    """Closes our side, and waits for the other to have read to there. Raises OSError where it breaks off instead.

    An end that came before ours says nothing: a server of TLS 1.3 may refuse our certificate after we have written.
    So first everything has to have arrived at the other machine, and the connection to stand.
    """
    deadline = time.monotonic() + PATIENCE
    while _state(connection) == ESTABLISHED and _unacknowledged(connection):
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")
        time.sleep(0.002)
    if _state(connection) != ESTABLISHED:
        raise ConnectionResetError("it closed the connection before we did; perhaps it wants another certificate")
    if isinstance(connection, ssl.SSLSocket):
        try:
            connection.unwrap()
        except ssl.SSLEOFError:
            return  # the end of TCP, without that of TLS: many receivers do no better (RFC 5425, 4.4)
        return
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(READ):
        continue


def _state(connection: socket.socket) -> int:
    """tcpi_state, the first byte of Linux' tcp_info."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes that the other machine has not acknowledged: SIOCOUTQ, which is TIOCOUTQ on Linux."""
    (number,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))
    return int(number)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
