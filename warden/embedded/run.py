"""`script/run` and `script/manage`: a whole Warden, or one command of it, on this machine."""

import contextlib
import http.client
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from warden import env
from warden.embedded.home import Claim, Home
from warden.embedded.processes import Program, StartError
from warden.embedded.services import Services, clear, plan, services
from warden.embedded.supervisor import Stopped, Supervisor

# What only the owner's processes are told: the key of the record, and how to own its tables.
OWNERS = ("AUDIT_SIGNING_KEY", "AUDIT_SIGNING_KEY_OLD", "DATABASE_OWNER_URL")
REPOSITORY = Path(__file__).resolve().parents[2]
MANAGE = (sys.executable, str(REPOSITORY / "manage.py"))


def run(*, demo: bool) -> int:
    """Start everything, say where it is, keep it running. Returns the exit code: 0 after Ctrl-C or SIGTERM."""
    os.umask(0o077)  # mail and logs are nobody else's business
    home = default_home()
    host, port = os.environ.get("HOST") or "127.0.0.1", _port()
    with contextlib.ExitStack() as stack:
        claim = _claim(home)
        stack.callback(claim.release)
        _check_port(host, port)
        clear(home)
        _raise_file_limit()
        planned = plan(home)
        values = environment(home, planned.services, port=port) | {"PROMETHEUS_MULTIPROC_DIR": str(counts_folder(home))}
        supervisor = stack.enter_context(Supervisor(home, env=values))
        try:
            _start(supervisor, home, claim, host, port, demo=demo)
            supervisor.watch()
        except Stopped:
            supervisor.say("Stopping.")
    return 0


def _start(supervisor: Supervisor, home: Home, claim: Claim, host: str, port: int, *, demo: bool) -> None:
    planned = plan(home)
    owner = as_owner(planned.services) | _withheld()
    supervisor.say("Warden is starting …")
    for program in planned.programs:
        supervisor.start(program)
    claim.say(services=[program.name for program in planned.programs], port=port)
    notes = _prepare(supervisor, home, owner, demo=demo)
    for program in _programs(owner, host, port):
        supervisor.start(program)
    supervisor.say(f"Warden is ready at http://127.0.0.1:{port}")
    for line in notes:
        supervisor.confide(line)


def as_owner(services: Services) -> dict[str, str]:
    """What has a process own the tables, where those who serve do not."""
    if services.database_url == services.web_url:
        return {}
    return {"DATABASE_URL": services.database_url, "DATABASE_URL_FILE": ""}


def _withheld() -> dict[str, str]:
    """What OWNERS name in the environment, taken out of it: no other process that we start has it."""
    names = [name for each in OWNERS for name in (each, f"{each}_FILE")]
    return {name: os.environ.pop(name) for name in names if name in os.environ}


def _prepare(supervisor: Supervisor, home: Home, owner: dict[str, str], *, demo: bool) -> list[str]:
    """Bring tables, static files and the first accounts up to date. Returns the lines a person should read."""
    stamp, content = home.path / "static.stamp", _static_content()
    stale = not stamp.exists() or stamp.read_text() != content
    words = ("prepare", *(["--static"] if stale else []), *(["--demo"] if demo else []))
    notes = supervisor.run(Program(name="prepare", argv=(*MANAGE, *words), env=owner, cwd=REPOSITORY, private=True))
    stamp.write_text(content)
    return notes


def _static_content() -> str:
    """Changes whenever a static file, ours or a package's, may have."""
    digest = sha256((REPOSITORY / "uv.lock").read_bytes() + sys.prefix.encode())
    files = (
        path for pattern in ("static/**/*", "*/static/**/*") for path in REPOSITORY.glob(pattern) if path.is_file()
    )
    for file in sorted(files):
        facts = file.stat()
        digest.update(f"{file}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _programs(owner: dict[str, str], host: str, port: int) -> Iterator[Program]:
    waiters = env.integer("GATEWAY_MAX_WAITERS", 10_000, low=1, high=1_000_000)
    workers = env.integer("WEB_WORKERS", 1, low=1, high=64)
    # As root, on one box, with JSON alone accepted: celery's warning against it would only bury how to log in.
    hushed = ("-W", "ignore:You're running the worker with superuser privileges")
    celery = (sys.executable, *hushed, "-m", "celery", "-A", "warden", "--quiet")
    yield Program(
        name="web",
        argv=(
            *(sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "uvloop", "--no-ws"),
            *("--host", host, "--port", str(port), "--workers", str(workers)),
            # Waiting agents are requests in progress: the default would stop accepting at a thousand of them.
            *("--backpressure", str(waiters + 2_000), "--backlog", "8192", "--workers-kill-timeout", "5"),
            "warden.asgi:application",
        ),
        cwd=REPOSITORY,
        ready=lambda: _answers(host, port),
    )
    yield Program(name="sequencer", argv=(*MANAGE, "sequence"), env=owner, cwd=REPOSITORY)
    if env.raw("SPIFFE_LISTEN"):
        yield Program(name="listener", argv=(sys.executable, "-m", "warden.listener"), cwd=REPOSITORY)
    yield Program(
        name="worker",
        argv=(*celery, "worker", "--concurrency", "2", "--loglevel", "warning", "--without-gossip", "--without-mingle"),
        cwd=REPOSITORY,
    )
    yield Program(
        name="beat",
        quiet=True,  # it says every five seconds what it does
        argv=(*celery, "beat", "--loglevel", "info", "--pidfile="),
        cwd=REPOSITORY,
    )
    yield Program(name="stream", argv=(*MANAGE, "stream"), cwd=REPOSITORY)
    yield Program(name="slack", argv=(*MANAGE, "slack_socket"), cwd=REPOSITORY)


def manage(words: list[str]) -> int:
    """Run one management command on the services of the home, shared with a running Warden. Returns its exit code."""
    home = default_home()
    with services(home) as addresses:
        port = home.owner().get("port", os.environ.get("PORT") or 8000)
        process = subprocess.Popen(
            (*MANAGE, *words),
            env={**os.environ, **environment(home, addresses, port=int(str(port))), **as_owner(addresses)},
        )
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells the command itself
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
    return code if code >= 0 else 128 - code


def default_home() -> Home:
    return Home(os.environ.get("WARDEN_HOME") or REPOSITORY / "var")


def environment(home: Home, addresses: Services, *, port: int) -> dict[str, str]:
    """What Warden's processes get to know; what is set already stays."""
    values = {
        "DATABASE_URL": addresses.web_url,
        "REDIS_URL": addresses.redis_url,
        "SITE_URL": f"http://127.0.0.1:{port}",
        "WARDEN_ENV": "local",
    }
    if env.raw("SECRET_KEY") is None:
        values["SECRET_KEY"] = home.secret_key()
    missing = {name: value for name, value in values.items() if env.raw(name) is None}
    return missing | {
        "WARDEN_HOME": str(home.path),
        "DJANGO_SETTINGS_MODULE": "warden.settings",
        "PYTHONUNBUFFERED": "1",
    }


def counts_folder(home: Home) -> Path:
    """An empty folder in which the processes count, for /metrics: Prometheus expects counts to begin again."""
    folder = home.path / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def _claim(home: Home) -> Claim:
    waiting = False
    while (claim := home.claim("run")) is None:
        if home.owner().get("role") == "run":
            raise StartError(
                f"A Warden is running in {home.path} already. Stop it, or set WARDEN_HOME and PORT to run another."
            )
        if not waiting:
            print("Waiting for a command that uses the same databases to end …", flush=True)  # noqa: T201
        waiting = True
        time.sleep(0.2)
    return claim


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise StartError(f"PORT is {text!r}: it must be a number from 1 to 65535.")
    return int(text)


def _check_port(host: str, port: int) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise StartError(
            f"Port {port} of {host} cannot be used ({error.strerror}). Set PORT to another one."
        ) from error


def _answers(host: str, port: int) -> bool:
    """Whether /health/ready answers 200."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(target, port, timeout=2)
    try:
        connection.request("GET", "/health/ready", headers={"Host": _site_host(port)})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _site_host(port: int) -> str:
    """A host that Warden answers to: SITE_URL's own, which production insists on."""
    return urlsplit(env.raw("SITE_URL") or "").netloc or f"127.0.0.1:{port}"


def _raise_file_limit() -> None:
    """Every waiting agent is a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
