"""`script/run`, whole: from an empty folder to a Warden that answers, and back to nothing."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from audit import note
from warden.embedded import processes
from warden.embedded.run import REPOSITORY


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


KEY = f"AUDIT_SIGNING_KEY={note.encode(bytes(range(32)))}"


def start(home, port: int) -> subprocess.Popen:
    own = dict([KEY.split("=", 1)]) | {"PYTHONPATH": str(REPOSITORY), "WARDEN_HOME": str(home), "PORT": str(port)}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "warden.embedded", "run", "--no-demo"],
        env={**os.environ, **own},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_first_start_gets_ready_keeps_its_secrets_and_leaves_nothing(home, port):
    with start(home.path, port) as warden:
        try:
            assert warden.stdout
            said: list[str] = []
            for line in warden.stdout:
                said.append(line.rstrip())
                if "/setup/" in line or warden.poll() is not None:
                    break
            assert f"Warden is ready at http://127.0.0.1:{port}" in said, said
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/health/ready")
            assert connection.getresponse().status == 200
            connection.close()

            with start(home.path, port) as second:
                assert "already. Stop it" in second.communicate(timeout=30)[0]
            assert second.returncode == 1
            with start(home.path.with_name("other"), port) as other:
                assert f"Port {port} of 127.0.0.1 cannot be used" in other.communicate(timeout=30)[0]
            assert other.returncode == 1

            link = said[-1].split("/setup/")[1].split()[0]
            assert link not in (home.path / "log/warden.log").read_text()
            assert processes.find_marked(home.marker)
            knowing = set(processes.find_marked(KEY)) - {warden.pid}
            assert [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2] for pid in knowing] == [b"sequence"]
            warden.send_signal(signal.SIGINT)
            assert warden.wait(40) == 0
            assert processes.find_marked(home.marker) == []
        finally:
            warden.kill()
            processes.end_all(lambda: processes.find_marked(home.marker), signal.SIGTERM, 20)
