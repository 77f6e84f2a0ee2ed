"""The supervisor keeps its programs running and leaves none behind, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from warden.embedded import processes
from warden.embedded.home import Home

SUPERVISED = Path(__file__).with_name("supervised.py")


@pytest.fixture
def supervise(home):
    """Start a supervisor of shell commands; whatever a failed test leaves running is killed."""
    started = []

    def start(*programs: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, SUPERVISED, str(home.path), *programs],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SUPERVISED.parents[2])},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:
            pass
    processes.end_all(lambda: pids(home), signal.SIGKILL, 2)


def pids(home: Home) -> list[int]:
    return processes.find_marked(home.marker)


def until(check) -> None:
    assert processes.wait_until(check, 10), "not within ten seconds"


def read_until(process: subprocess.Popen, line: str) -> list[str]:
    assert process.stdout
    lines: list[str] = []
    while (read := process.stdout.readline()) and read.strip() != line:
        lines.append(read.strip())
    return lines


def test_what_ends_is_started_again(home, supervise, tmp_path):
    process = supervise(f"brief=echo x >> {tmp_path}/starts; sleep 0.2; exit 3")
    read_until(process, "READY")
    until(lambda: (tmp_path / "starts").read_text().count("x") >= 2)
    assert "brief ended (exit code 3); starting it again in 0.5 s." in (home.path / "log/warden.log").read_text()


def test_what_a_program_prints_reaches_the_terminal_and_the_log(home, supervise):
    process = supervise("talker=echo one; printf two; exec sleep 60")
    until(lambda: pids(home))
    time.sleep(0.2)
    process.terminate()
    assert {"one", "two", "STOPPED"} <= set(process.communicate()[0].splitlines())
    log = (home.path / "log/warden.log").read_text()
    assert "talker   | one" in log
    assert "talker   | two" in log


def test_a_program_that_cannot_start_is_quoted(supervise):
    process = supervise("broken?=echo the reason; exit 1")
    assert "broken? ended at once.\n    the reason\n" in process.communicate(timeout=10)[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_in_reverse_order(home, supervise, tmp_path, number):
    note = "trap 'echo {0} >> {1}/ends; exit' TERM; while :; do sleep 0.05; done"
    process = supervise(*(f"{name}={note.format(name, tmp_path)}" for name in ("first", "second", "third")))
    read_until(process, "READY")
    time.sleep(0.2)
    process.send_signal(number)
    assert process.wait(10) == 0
    assert (tmp_path / "ends").read_text().split() == ["third", "second", "first"]
    assert pids(home) == []


def test_grandchildren_and_the_deaf_do_not_survive_a_stop(home, supervise):
    process = supervise("deaf=trap '' TERM; setsid sleep 60 & sleep 60 & while :; do sleep 0.1; done")
    read_until(process, "READY")
    until(lambda: len(pids(home)) >= 3)
    process.terminate()
    assert process.wait(15) == 0
    assert pids(home) == []


def test_children_die_with_a_killed_supervisor(home, supervise):
    process = supervise("one=exec sleep 60", "two=exec sleep 60")
    read_until(process, "READY")
    assert len(pids(home)) == 2
    process.kill()
    process.wait()
    until(lambda: pids(home) == [])


def test_a_child_that_leaves_others_behind_is_cleared_before_its_next_start(home, supervise, tmp_path):
    process = supervise(f"parent=sleep 60 & echo $! >> {tmp_path}/children; sleep 0.2; exit 1")
    read_until(process, "READY")
    until(lambda: len((tmp_path / "children").read_text().split()) >= 2)
    first = (tmp_path / "children").read_text().split()[0]
    assert not Path("/proc", first).exists()
