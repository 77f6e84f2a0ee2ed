"""PostgreSQL and Valkey of a home, for as long as somebody needs them."""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from warden import env
from warden.embedded import processes
from warden.embedded.home import Claim, Home
from warden.embedded.postgres import Postgres
from warden.embedded.processes import Program, StartError
from warden.embedded.valkey import Valkey

PATIENCE = 60.0  # seconds for a database to become ready; recovery after a power cut takes a while


@dataclass(frozen=True)
class Services:
    """Where the two are."""

    database_url: str  # for the owner of the tables: migrations, commands, the sequencer
    web_url: str  # the same database, for those who serve
    redis_url: str


@dataclass(frozen=True)
class Plan:
    """Where the two will be, and what has to run for that: nothing, when the environment names others."""

    services: Services
    programs: tuple[Program, ...]


def plan(home: Home, *, durable: bool = True) -> Plan:
    """Decide what is embedded: DATABASE_URL and REDIS_URL, or their _FILE, replace one server each."""
    web_url, redis_url = env.raw("DATABASE_URL") or "", env.raw("REDIS_URL") or ""
    database_url = env.raw("DATABASE_OWNER_URL") or web_url
    programs: list[Program] = []
    if not web_url:
        postgres = Postgres(home, durable=durable)
        database_url, web_url = postgres.url, postgres.web_url
        programs.append(postgres.program())
    if not redis_url:
        valkey = Valkey(home, durable=durable)
        redis_url = valkey.url
        programs.append(valkey.program())
    return Plan(Services(database_url, web_url, redis_url), tuple(programs))


def clear(home: Home) -> None:
    """End what an earlier owner of `home` left running when it was killed. Call it as the owner."""
    processes.end_all(lambda: processes.find_marked(home.marker), signal.SIGTERM, 10.0)


@contextlib.contextmanager
def services(home: Home, *, durable: bool = True, role: str = "command") -> Iterator[Services]:
    """Start what is embedded and not running, yield the addresses, and stop what was started.

    Processes that use the same home share its servers; the one that started them stops them when all are done.
    Raises StartError.
    """
    if env.raw("DATABASE_URL") and env.raw("REDIS_URL"):
        yield plan(home).services
        return
    with home.in_use() as use:
        claim: Claim | None = None

        def settled() -> bool:
            nonlocal claim
            claim = home.claim(role)
            return claim is not None or "services" in home.owner()

        if not processes.wait_until(settled, PATIENCE):
            raise StartError(f"Another process of {home.path} is starting for {PATIENCE:.0f} s now: look at it first.")
        if claim is None:
            yield _shared(home)
            return
        with contextlib.ExitStack() as stack:
            stack.callback(claim.release)
            clear(home)
            planned = plan(home, durable=durable)
            for program in planned.programs:
                stack.enter_context(_running(home, program))
            stack.callback(use.wait_for_others)
            claim.say(services=[program.name for program in planned.programs])
            yield planned.services


def _shared(home: Home) -> Services:
    planned = plan(home)
    running = home.owner().get("services")
    missing = [
        program.name for program in planned.programs if not isinstance(running, list) or program.name not in running
    ]
    if missing:
        raise StartError(
            f"The Warden in {home.path} uses another {missing[0]}: set the same DATABASE_URL and REDIS_URL."
        )
    return planned.services


@contextlib.contextmanager
def _running(home: Home, program: Program) -> Iterator[None]:
    with (home.path / "log" / f"{program.name}.log").open("ab") as log:
        start = log.tell()
        program.prepare()
        process = processes.spawn(program, log, env=dict([home.marker.split("=", 1)]))
        try:
            if not processes.wait_until(lambda: process.poll() is not None or program.ready(), PATIENCE):
                raise StartError(f"{program.name} is not ready after {PATIENCE:.0f} seconds.\n{_said(log.name, start)}")
            if process.poll() is not None:
                raise StartError(
                    f"{program.name} ended at once (exit code {process.returncode}).\n{_said(log.name, start)}"
                )
            yield
        finally:
            processes.stop(process, program)


def _said(path: str, start: int) -> str:
    with Path(path).open("rb") as log:
        log.seek(start)
        return "\n".join(log.read().decode(errors="replace").splitlines()[-15:])
