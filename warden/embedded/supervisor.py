"""Keeps a list of programs running, and leaves nothing behind.

One thread, one loop: it reads what the children print, reaps whatever ends (orphaned grandchildren too), restarts what
should run, and turns SIGINT, SIGTERM and SIGHUP into an orderly stop in reverse order.
"""

import contextlib
import logging
import logging.handlers
import os
import selectors
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType, TracebackType

from warden.embedded import processes
from warden.embedded.home import Home
from warden.embedded.processes import Program, StartError

FIRST_DELAY, LONGEST_DELAY = 0.5, 10.0  # seconds before a restart
STEADY = 30.0  # seconds after which a program counts as healthy again
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Somebody asked us to stop."""


@dataclass(eq=False)
class _Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    delay: float = FIRST_DELAY
    restart_at: float = 0.0
    kept: bool = False  # restarted when it ends
    output: int = -1  # our end of its pipe
    rest: bytes = b""  # a line not finished yet
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=20))

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None


class Supervisor:
    """Use as a context manager: leaving it stops every program, last started first."""

    def __init__(self, home: Home, *, env: Mapping[str, str] | None = None) -> None:
        self._home = home
        self._env = dict(env or {})
        self._children: list[_Child] = []
        self._selector = selectors.DefaultSelector()
        self._asked = 0  # how often we were told to stop
        self._stopping = False
        self._terminal = True
        self._log = logging.handlers.RotatingFileHandler(
            home.path / "log" / "warden.log", maxBytes=10_000_000, backupCount=3
        )
        self._log.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def __enter__(self) -> "Supervisor":
        processes.become_subreaper()
        self._wake, waker = socket.socketpair()
        for end in (self._wake, waker):
            end.settimeout(0)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._waker, self._old_wakeup = waker, signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        self._old_handlers = {
            number: signal.signal(number, self._on_signal) for number in (*STOP_SIGNALS, signal.SIGCHLD)
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        for child in reversed(self._children):
            self._stop(child)
        processes.end_all(lambda: processes.find_marked(self._home.marker), signal.SIGKILL, 2.0)
        self._reap()
        signal.set_wakeup_fd(self._old_wakeup)
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._selector.close()
        self._wake.close()
        self._waker.close()
        self._log.close()

    def say(self, text: str) -> None:
        """A line of our own for the terminal and the log."""
        self._write(text, text)

    def confide(self, text: str) -> None:
        """A line for the person at the terminal alone."""
        self._write("", text or " ")

    def start(self, program: Program, *, patience: float = 60.0) -> None:
        """Start `program` and return when it is ready; from then on it is restarted whenever it ends.

        Raises StartError when it ends or is not ready within `patience` seconds, and Stopped when we are told to stop.
        """
        child = _Child(program)
        self._children.append(child)
        self._spawn(child)
        if not self._pump_until(lambda: not child.running or program.ready(), patience):
            raise StartError(f"{program.name} is not ready after {patience:.0f} seconds.{_quote(child)}")
        if not child.running:
            raise StartError(f"{program.name} ended at once.{_quote(child)}")
        child.kept = True

    def run(self, program: Program) -> list[str]:
        """Run `program` to its end and return the lines it printed. Raises StartError when it fails, and Stopped."""
        child = _Child(program, lines=deque())
        self._children.append(child)
        self._spawn(child)
        self._pump_until(lambda: not child.running, None)
        self._children.remove(child)
        if child.process and child.process.returncode != 0:
            raise StartError(f"{program.name} failed (exit code {child.process.returncode}).{_quote(child)}")
        return list(child.lines)

    def watch(self) -> None:
        """Keep everything running until we are told to stop: raises Stopped."""
        self._pump_until(lambda: False, None)

    def _pump_until(self, done: Callable[[], bool], seconds: float | None) -> bool:
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            self._pump(0.05 if seconds is not None else 0.5)
            if self._asked and not self._stopping:
                raise Stopped
            if done():
                return True
            if deadline is not None and time.monotonic() > deadline:
                return False

    def _pump(self, timeout: float) -> None:
        """One turn: wait for output or a signal, read, reap, restart."""
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    self._wake.recv(4096)
            else:
                self._read(key.data)
        self._reap()
        if not self._stopping:
            for child in self._children:
                if child.restart_at and time.monotonic() >= child.restart_at:
                    self._restart(child)

    def _spawn(self, child: _Child) -> None:
        child.restart_at = 0.0
        child.program.prepare()
        reader, writer = os.pipe()
        try:
            child.process = processes.spawn(
                child.program, writer, env=self._env | dict([self._home.marker.split("=", 1)])
            )
        except StartError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        child.started = time.monotonic()
        os.set_blocking(reader, False)
        child.output = reader
        self._selector.register(reader, selectors.EVENT_READ, child)

    def _restart(self, child: _Child) -> None:
        try:
            self._spawn(child)
        except StartError as error:
            self.say(str(error))
            self._plan_restart(child)

    def _plan_restart(self, child: _Child) -> None:
        if time.monotonic() - child.started > STEADY:
            child.delay = FIRST_DELAY
        child.restart_at = time.monotonic() + child.delay
        child.delay = min(child.delay * 2, LONGEST_DELAY)

    def _reap(self) -> None:
        """Collect every process that ended. Its group is killed first, while its number is still ours."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            child = next((c for c in self._children if c.running and c.process and c.process.pid == ended.si_pid), None)
            if child:
                processes.signal_group(ended.si_pid, signal.SIGKILL)
            _, status = os.waitpid(ended.si_pid, 0)
            if child and child.process:
                child.process.returncode = os.waitstatus_to_exitcode(status)
                self._drain(child)
                self._on_end(child, child.process.returncode)

    def _on_end(self, child: _Child, code: int) -> None:
        if child.kept and not self._stopping:
            self._plan_restart(child)
            self.say(f"{child.program.name} ended (exit code {code}); starting it again in {child.delay / 2:g} s.")

    def _stop(self, child: _Child) -> None:
        """Ask, wait for the grace, then insist. A second request to stop ends the grace."""
        program = child.program
        self._signal(child, program.stop_signal, lambda: self._asked > 1, program.grace)
        self._signal(child, program.kill_signal, lambda: False, 6.0)
        self._signal(child, signal.SIGKILL, lambda: False, 6.0)

    def _signal(self, child: _Child, number: signal.Signals, enough: Callable[[], bool], seconds: float) -> None:
        if child.process and child.running:
            child.process.send_signal(number)
            self._pump_until(lambda: not child.running or enough(), seconds)

    def _read(self, child: _Child) -> bool:
        """Forward what `child` printed; False when there is nothing more for now."""
        try:
            data = os.read(child.output, 65536)
        except BlockingIOError:
            return False
        *lines, child.rest = (child.rest + data).split(b"\n")
        if not data:
            lines, child.rest = [child.rest] if child.rest else [], b""
            self._selector.unregister(child.output)
            os.close(child.output)
            child.output = -1
        for line in lines:
            text = line.decode(errors="replace").rstrip()
            child.lines.append(text)
            if not child.program.private:
                self._write(f"{child.program.name:<8} | {text}", "" if child.program.quiet else text)
        return bool(data)

    def _drain(self, child: _Child) -> None:
        while child.output >= 0 and self._read(child):
            pass
        if child.output >= 0:  # a grandchild still holds the other end
            self._selector.unregister(child.output)
            os.close(child.output)
            child.output = -1

    def _write(self, logged: str, shown: str) -> None:
        if logged:
            self._log.emit(logging.makeLogRecord({"msg": logged}))
        if shown and self._terminal:
            try:
                print(shown, flush=True)  # noqa: T201 - the terminal is where this belongs
            except OSError:  # the terminal is gone; the log remains
                self._terminal = False

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number in STOP_SIGNALS:
            self._asked += 1


def _quote(child: _Child) -> str:
    return "".join(f"\n    {line}" for line in list(child.lines)[-20:])
