"""A real Warden server for tests: granian, one worker, the test database."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from django.db import connection


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_database_url() -> str:
    """DATABASE_URL with the name that Django gave the test database."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    return f"{parts.scheme}://{parts.netloc}/{connection.settings_dict['NAME']}?{parts.query}"


def web_database_url() -> str:
    """The same for those who serve, who may only read and add to the record; as it is, where the database is ours."""
    return test_database_url().replace("user=warden", "user=warden_web")


class Server:
    """`with Server() as server:` starts it; server.url is where it answers; its log is in server.log."""

    def __init__(self, *, port: int | None = None, **environment: str) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = Path(tempfile.mkstemp(prefix="warden-server-", suffix=".log")[1])
        self._environment = {
            "DJANGO_SETTINGS_MODULE": "warden.settings",
            "DATABASE_URL": web_database_url(),
            "SITE_URL": self.url,
            "GATEWAY_RATE_LIMIT": "10000000",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.log.unlink(missing_ok=True)

    def start(self) -> None:
        command = [sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--backlog", "16384", "--backpressure", "16000", "--loop", "uvloop"]
        self.start_command([*command, "--no-ws", "warden.asgi:application"])

    def start_command(self, command: list[str]) -> None:
        """Starts a process of the server's, and waits until it is ready."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command, env=os.environ | self._environment, stdout=out, stderr=out, start_new_session=True
            )
        self.wait()

    def wait(self, seconds: float = 40) -> None:
        """Until it is ready. Raises RuntimeError with its log where it is not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"the server did not get ready:\n{self.log.read_text()[-4000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it and all its processes."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, how)
            self.process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def kill(self) -> None:
        """kill -9 of everything, at once."""
        self.stop(signal.SIGKILL)


@contextlib.contextmanager
def celery_worker(home: Path, processes: int, **environment: str) -> Iterator[None]:
    """The worker as it runs beside the server, on the test database; its log is in `home`."""
    command = [sys.executable, "-m", "celery", "-A", "warden", "worker", "--concurrency", str(processes)]
    environment |= {
        "DJANGO_SETTINGS_MODULE": "warden.settings",
        "DATABASE_URL": web_database_url(),
        "WARDEN_HOME": str(home),
    }
    with (home / "worker.log").open("wb") as out:
        process = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"],
            env=os.environ | environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
