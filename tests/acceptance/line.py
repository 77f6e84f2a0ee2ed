"""A line to the database that can be cut: a TCP relay between a server under test and the real PostgreSQL."""

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlencode

from django.db import connection
from psycopg import conninfo

from tests.server import test_database_url

GATEWAY = b"application_name\0warden-gateway\0"


@dataclass(eq=False)
class _Call:
    """One connection of a client, and its other half to the database."""

    client: socket.socket
    database: socket.socket
    of_gateway: bool = False
    ends: threading.Event = field(default_factory=threading.Event)

    def hang_up(self) -> None:
        self.ends.set()
        for end in (self.client, self.database):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Line:
    """`with Line() as line:` relays; line.url is a DATABASE_URL. One of cut, stall and cut_before at a time."""

    def __init__(self) -> None:
        named = conninfo.conninfo_to_dict(test_database_url())
        self._host, self._port = str(named["host"]), int(named.get("port") or 5432)
        self._lock = threading.Lock()
        self._calls: set[_Call] = set()
        self._listener: socket.socket | None = None
        self._flows = threading.Event()
        self._flows.set()
        self._fatal = b""
        self.cuts = 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        query = urlencode({"sslmode": "disable", "gssencmode": "disable", "user": str(named.get("user") or "")})
        password = f":{named['password']}" if named.get("password") else ""
        self.url = f"postgresql://{password}{'@' if password else ''}127.0.0.1:{self.port}/{_name()}?{query}"

    def __enter__(self) -> Self:
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def restore(self) -> None:
        """Connections are taken and relayed (again)."""
        self._fatal = b""
        self._flows.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def cut(self) -> None:
        """Every connection breaks, and no new one is taken."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self._flows.set()
        self._hang_up()

    def stall(self) -> None:
        """Nothing is said any more, in either direction, and nothing breaks."""
        self._flows.clear()

    def cut_before(self, answer: bytes) -> None:
        """The next time the database says `answer` to the gateway, that connection breaks before it is heard."""
        self._fatal = answer

    def _hang_up(self) -> None:
        with self._lock:
            calls, self._calls = self._calls, set()
        for call in calls:
            call.hang_up()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            call = _Call(client, self._dial())
            with self._lock:
                self._calls.add(call)
            for source, sink in ((call.client, call.database), (call.database, call.client)):
                threading.Thread(target=self._pump, args=[call, source, sink], daemon=True).start()

    def _dial(self) -> socket.socket:
        if self._host.startswith("/"):
            database = socket.socket(socket.AF_UNIX)
            database.connect(f"{self._host}/.s.PGSQL.{self._port}")
            return database
        return socket.create_connection((self._host, self._port))

    def _pump(self, call: _Call, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._flows.wait()
                if call.ends.is_set():
                    break
                if source is call.client:
                    call.of_gateway = call.of_gateway or GATEWAY in data
                elif self._fatal and call.of_gateway and self._fatal in data:
                    self._fatal = b""
                    self.cuts += 1
                    break
                sink.sendall(data)
        with self._lock:
            self._calls.discard(call)
        call.hang_up()


def _name() -> str:
    return str(connection.settings_dict["NAME"])
