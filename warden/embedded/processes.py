"""Children that cannot outlive us.

A child is started in its own session (Ctrl-C then reaches the supervisor alone, and the whole group can be signalled)
and asks the kernel for its stop signal should we die first.
"""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StartError(Exception):
    """Something could not be started. The text is one or more sentences for the person at the terminal."""


def _prctl(option: int, value: int) -> None:
    if _libc is not None and _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")


def become_subreaper() -> None:
    """Inherit the orphans of our children, so that none is left to run unseen."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


@dataclass(frozen=True)
class Identity:
    """Who a program believes it is, and how its database socket sees us.

    `enter` runs in the child between fork and exec. `client` is the operating system's name of *our* user as the child
    sees it. `owner` is the (uid, gid) that files of the child must belong to.
    """

    client: str
    owner: tuple[int, int]
    enter: Callable[[], None] | None = None


@dataclass(frozen=True)
class Program:
    """One child: what to run, what to do before each start, and how to know that it is ready."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    prepare: Callable[[], None] = lambda: None
    ready: Callable[[], bool] = lambda: True
    stop_signal: signal.Signals = signal.SIGTERM
    kill_signal: signal.Signals = signal.SIGKILL
    grace: float = 10.0  # seconds between the two signals
    identity: Identity | None = None
    quiet: bool = False  # lines go to the log file only
    private: bool = False  # lines go nowhere: they may hold a password


def spawn(program: Program, stdout: int | IO[bytes], *, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start `program`; its standard output and error go to `stdout`. Raises StartError when it cannot be executed."""
    parent = os.getpid()
    enter = program.identity.enter if program.identity else None

    def in_child() -> None:
        if enter:
            enter()
        _prctl(PR_SET_PDEATHSIG, program.stop_signal)  # after `enter`: a change of user clears it
        if os.getppid() != parent:
            os._exit(1)  # the parent died before the line above took effect

    try:
        # preexec_fn is safe here: whoever starts children has no threads.
        return subprocess.Popen(
            program.argv,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            cwd=program.cwd,
            env={**os.environ, **env, **program.env},
            start_new_session=True,
            preexec_fn=in_child,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StartError(f"{program.name} cannot be started: {error}") from error


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send `number` to the process group that `pid` leads; nothing happens when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def stop(process: subprocess.Popen[bytes], program: Program) -> None:
    """Ask, wait for the grace, then insist. Returns when the process is gone and reaped."""
    for number, seconds in ((program.stop_signal, program.grace), (program.kill_signal, 6.0), (signal.SIGKILL, None)):
        if process.poll() is not None:
            break
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    signal_group(process.pid, signal.SIGKILL)  # whatever it left behind


def wait_until(check: Callable[[], bool], seconds: float) -> bool:
    """Ask `check` every 20 ms until it says yes (True) or `seconds` have passed (False)."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def find(matches: Callable[[list[bytes]], bool]) -> list[int]:
    """Processes whose command line `matches`, ours excepted. Empty where there is no /proc."""
    return [pid for pid, argv in _command_lines() if pid != os.getpid() and matches(argv)]


def _command_lines() -> Iterator[tuple[int, list[bytes]]]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while we looked
            yield int(entry.name), (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")


def find_marked(marker: str) -> list[int]:
    """Processes of this user that were started with the environment entry `marker` ("NAME=value"), ours excepted."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended, or it is somebody else's
            if marker.encode() in (entry / "environ").read_bytes().split(b"\0") and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def end_all(search: Callable[[], list[int]], first: signal.Signals, seconds: float) -> None:
    """End every process that `search` finds: `first`, then after `seconds` SIGKILL. Raises StartError if one stays."""
    for number, patience in ((first, seconds), (signal.SIGKILL, 5.0)):
        for pid in search():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if wait_until(lambda: not search(), patience):
            return
    raise StartError(f"Processes of an earlier start do not end: {', '.join(map(str, search()))}.")


def identity_for(binary: Path) -> Identity:
    """The identity under which `binary`, which refuses to run as root or without a user name, can run here.

    Raises StartError when there is none, saying what was tried.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = ""
    if uid != 0 and name:
        return Identity(client=name, owner=(uid, gid))
    candidates = [_in_user_namespace(uid, gid)]
    if uid == 0:
        candidates += [_as_user(user, client=name or "root") for user in ("postgres", "nobody")]
    tried = []
    for identity in filter(None, candidates):
        try:
            subprocess.run([binary, "--version"], check=True, capture_output=True, preexec_fn=identity.enter)
        except (OSError, subprocess.SubprocessError) as error:
            tried.append(str(error))
        else:
            return identity
    raise StartError(
        f"{binary.name} does not run as root, and neither a user namespace nor a system user can be used here "
        f"({'; '.join(tried)}). Run Warden as an ordinary user, or set DATABASE_URL."
    )


def _in_user_namespace(uid: int, gid: int) -> Identity | None:
    """Appear as a system user inside a namespace of our own; outside, and on disk, stay who we are.

    Never as the overflow user (`nobody`): everybody who is not mapped appears as that one, and would be let in.
    """
    if not hasattr(os, "unshare"):
        return None
    overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
    user = next((u for u in pwd.getpwall() if 0 < u.pw_uid < 1000 and u.pw_uid != overflow), None)
    if user is None:
        return None
    inner_uid, inner_gid = user.pw_uid, user.pw_gid

    def enter() -> None:
        os.unshare(os.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{inner_uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{inner_gid} {gid} 1")

    return Identity(client=user.pw_name, owner=(uid, gid), enter=enter)


def _as_user(name: str, *, client: str) -> Identity | None:
    """Give up root for the system user `name`, for good."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return None

    def enter() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return Identity(client=client, owner=(user.pw_uid, user.pw_gid), enter=enter)
