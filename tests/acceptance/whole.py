"""A whole Warden, started the way people start it, and its processes, to be killed."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from tests.server import free_port
from warden.embedded import processes
from warden.embedded.home import Home
from warden.embedded.postgres import Postgres
from warden.embedded.run import REPOSITORY

OURS = re.compile(r"DATABASE_|REDIS_|WARDEN_|SITE_URL|SECRET_KEY|DJANGO_|STATIC_|GATEWAY_|EMAIL_|PORT$|HOST$")
# For `manage shell`: run(…) runs a command of Warden and reads its answer.
COMMANDS = """
import io, json
from django.core.management import call_command

def run(*words):
    out = io.StringIO()
    call_command(*words, "--json", stdout=out)
    return json.loads(out.getvalue())
"""


class Whole:
    """`with Whole(folder) as warden:` runs script/run --no-demo in an empty home and waits until it is ready.

    `settings` are variables of the environment, such as EMAIL_HOST="127.0.0.1".
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.home = Home(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = folder.with_suffix(".out")
        self._environment = {name: value for name, value in os.environ.items() if not OURS.match(name)}
        self._environment |= settings | {"WARDEN_HOME": str(folder), "PORT": str(self.port)}

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Runs it, once more where it was stopped, until it is ready."""
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [str(REPOSITORY / "script/run"), "--no-demo"],
                env=self._environment,
                cwd="/",
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 240
        while "Warden is ready" not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        processes.end_all(self.alive, signal.SIGKILL, 5)

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def manage(self, *words: str) -> Any:
        """A management command's answer, in JSON."""
        command = [str(REPOSITORY / "script/manage"), *words]
        ran = subprocess.run(command, env=self._environment, cwd="/", capture_output=True, text=True, timeout=240)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout.splitlines()[-1])

    @property
    def database_url(self) -> str:
        return Postgres(self.home).url

    def stop(self, seconds: float = 60) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def alive(self) -> list[int]:
        """Every process of this home, the databases' own children too."""
        home = os.fsencode(self.home.path)
        cluster = f"warden-{self.home.id}".encode()
        named = processes.find(lambda argv: any(home in word or cluster in word for word in argv))
        return sorted({*processes.find_marked(self.home.marker), *named} - {os.getpid()})

    def child(self, words: str) -> int | None:
        """The supervisor's child whose command line has these words; None while it is not running."""
        return next((pid for pid in _children(self.process.pid) if words in _command_line(pid)), None)

    def victims(self, what: str) -> list[int]:
        """The processes that `what` names, now."""
        words = {
            "web": "granian",
            "celery": "worker --concurrency",
            "postgres": "/postgres",
            "valkey": "valkey",
        }
        main = self.child(words[what.removesuffix(" worker")])
        if main and what.endswith(" worker"):  # the processes that do the work
            return list(_children(main))
        return [main] if main else []

    def kill(self, what: str) -> None:
        """kill -9 of it, as soon as it is there."""
        assert processes.wait_until(lambda: bool(self.victims(what)), 60), f"{what} is not running"
        for pid in self.victims(what):
            os.kill(pid, signal.SIGKILL)


def _children(pid: int) -> Iterator[int]:
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (task / "children").read_text().split())
    except OSError:  # it has ended
        return


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
