"""PostgreSQL and Valkey of a home, for as long as somebody needs them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

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

    database_url: str
    redis_url: str


@dataclass(frozen=True)
class Plan:
    """Where the two will be, and what has to run for that: nothing, when the environment names others."""

    services: Services
    programs: tuple[Program, ...]


def plan(home: Home, *, durable: bool = True) -> Plan:
    """Decide what is embedded. DATABASE_URL and REDIS_URL in the environment (or their _FILE) replace one server each."""
    database_url, redis_url = env.raw("DATABASE_URL") or "", env.raw("REDIS_URL") or ""
    programs: list[Program] = []
    if not database_url:
        postgres = Postgres(home, durable=durable)
        database_url = postgres.url
        programs.append(postgres.program())
    if not redis_url:
        valkey = Valkey(home, durable=durable)
        redis_url = valkey.url
        programs.append(valkey.program())
    return Plan(Services(database_url, redis_url), tuple(programs))


@contextlib.contextmanager
def services(home: Home, *, durable: bool = True, role: str = "command") -> Iterator[Services]:
    """Start what is embedded and not running, yield the addresses, and stop what was started.

    Another process that uses the same home shares its servers with us; the one that started them stops them when all are done.
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
            raise StartError(
                f"Another process of {home.path} has been starting for {PATIENCE:.0f} seconds. Look at it, then try again."
            )
        if claim is None:
            yield _shared(home)
            return
        with contextlib.ExitStack() as stack:
            stack.callback(claim.release)
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
            f"The Warden that runs in {home.path} uses another {missing[0]}: set the same DATABASE_URL and REDIS_URL here."
        )
    return planned.services


@contextlib.contextmanager
def _running(home: Home, program: Program) -> Iterator[None]:
    with (home.path / "log" / f"{program.name}.log").open("ab") as log:
        start = log.tell()
        program.prepare()
        process = processes.spawn(program, log)
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
    with open(path, "rb") as log:
        log.seek(start)
        return "\n".join(log.read().decode(errors="replace").splitlines()[-15:])
