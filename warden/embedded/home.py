"""The folder a Warden lives in, and who is using it.

postgres/  valkey/   data
sockets/             where the two listen (or a short private folder elsewhere: `sockets.path` then says which)
log/                 what every process printed
metrics/             what every process counted since the start
secret_key           made at the first start
owner.lock           held by the process that runs the databases
owner.json           what that process says about itself
users.lock           shared by everybody who uses the databases: their owner waits for it before it stops them
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from warden.embedded.processes import StartError

LONGEST_SOCKET_NAME = "pg/.s.PGSQL.5432"


class Home:
    """Paths, locks and secrets of one Warden. Made on first use, readable by its user alone."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().resolve()
        try:
            for folder in (self.path, self.path / "log"):
                if not folder.is_dir():
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(13, "not writable")
        except OSError as error:
            raise StartError(f"{self.path} cannot be used ({error}). Set WARDEN_HOME to another folder.") from error
        self.id = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]

    @property
    def marker(self) -> str:
        """The environment entry that every supervised process of this home carries."""
        return f"WARDEN_SUPERVISED_BY={self.path}"

    def secret_key(self) -> str:
        """The key that signs sessions; made once, kept with mode 0600."""
        file = self.path / "secret_key"
        if not file.exists():
            fresh = self.path / f".secret_key.{secrets.token_hex(4)}"
            fresh.touch(mode=0o600, exist_ok=False)
            fresh.write_text(secrets.token_urlsafe(48))
            with contextlib.suppress(FileExistsError):  # another process was first: its key counts
                os.link(fresh, file)
            fresh.unlink()
        return file.read_text().strip()

    def sockets(self) -> Path:
        """A private folder that takes sockets: their paths hold 107 bytes, and not every file system has them."""
        own = self.path / "sockets"
        own.mkdir(mode=0o700, exist_ok=True)
        if _takes_sockets(own):
            return own
        note = self.path / "sockets.path"
        if note.exists():
            elsewhere = Path(note.read_text())
            if self._is_ours(elsewhere) and _takes_sockets(elsewhere):
                return elsewhere
        for base in (os.environ.get("XDG_RUNTIME_DIR"), "/tmp"):  # noqa: S108 - mkdtemp: private and unguessable
            if base and os.access(base, os.W_OK):
                elsewhere = Path(tempfile.mkdtemp(prefix="warden-", dir=base))
                if _takes_sockets(elsewhere):
                    (elsewhere / "home").write_text(str(self.path))
                    note.write_text(str(elsewhere))
                    return elsewhere
                elsewhere.rmdir()
        raise StartError(f"No folder found for sockets: the path of {own} is too long or unsuitable.")

    def _is_ours(self, folder: Path) -> bool:
        """Private still, and not that of the home we were copied from."""
        try:
            facts = folder.lstat()
            private = stat.S_ISDIR(facts.st_mode) and not facts.st_mode & 0o066 and facts.st_uid == os.geteuid()
            return private and (folder / "home").read_text() == str(self.path)
        except OSError:
            return False

    def claim(self, role: str) -> "Claim | None":
        """Become the one who runs this home's databases; None when somebody is already."""
        handle = os.open(self.path / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        claim = Claim(self, handle)
        claim.say(role=role, pid=os.getpid())
        return claim

    def owner(self) -> dict[str, object]:
        """What the owner last said about itself; may be stale unless `claim` has just failed."""
        try:
            return dict(json.loads((self.path / "owner.json").read_text()))
        except FileNotFoundError:
            return {}

    @contextlib.contextmanager
    def in_use(self) -> Iterator["Use"]:
        """Count as a user of this home's databases; waits while their owner is stopping them."""
        handle = os.open(self.path / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            yield Use(handle)
        finally:
            os.close(handle)


class Use:
    """A shared hold on the databases of a home."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def wait_for_others(self) -> None:
        """Return once nobody else uses the databases, and keep newcomers waiting."""
        fcntl.flock(self._handle, fcntl.LOCK_EX)


class Claim:
    """The exclusive right to run a home's databases. The kernel takes it back when we die."""

    def __init__(self, home: Home, handle: int) -> None:
        self._file = home.path / "owner.json"
        self._handle = handle
        self._facts: dict[str, object] = {}

    def say(self, **facts: object) -> None:
        """Tell the other processes of this home something about us."""
        self._facts |= facts
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._facts))
        fresh.replace(self._file)

    def release(self) -> None:
        self._file.unlink(missing_ok=True)
        os.close(self._handle)


def _takes_sockets(folder: Path) -> bool:
    if not re.fullmatch(r"[A-Za-z0-9_./-]+", str(folder)):
        return False  # commas and quotes have a meaning in the settings of the servers
    name = folder / secrets.token_hex(len(LONGEST_SOCKET_NAME) // 2)  # as long as the longest that will be bound
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(str(name))
        except OSError:
            return False
    name.unlink()
    return True
