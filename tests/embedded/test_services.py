"""PostgreSQL and Valkey of a home: private, durable, and startable after any death."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import psycopg
import pytest
import redis

from warden.embedded import processes
from warden.embedded.home import Home
from warden.embedded.processes import StartError
from warden.embedded.services import clear, services

HOLD = """
import sys
from warden.embedded.home import Home
from warden.embedded.services import services
with services(Home(sys.argv[1]), durable=False) as found:
    print(found.database_url, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def hold(lived_in):
    """Start another process that uses the services of `lived_in` until its standard input closes."""
    with ExitStack() as started:

        def start() -> subprocess.Popen:
            command = [sys.executable, "-c", HOLD, str(lived_in.path)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            started.enter_context(process)
            assert process.stdout
            assert process.stdout.readline().startswith("postgresql:///warden?")
            return process

        yield start


def pids(home: Home) -> list[int]:
    return processes.find_marked(home.marker)


def test_both_listen_on_private_sockets_and_on_no_port(lived_in):
    with services(lived_in, durable=False) as found, psycopg.connect(found.database_url) as database:
        assert database.execute("SHOW listen_addresses").fetchone() == ("",)
        assert redis.Redis.from_url(found.redis_url).config_get("port") == {"port": "0"}
        assert (lived_in.path / "sockets").stat().st_mode & 0o066 == 0
        assert (lived_in.path / "sockets/pg").stat().st_mode & 0o077 == 0


def test_the_application_owns_its_database_and_not_the_server(lived_in):
    with services(lived_in, durable=False) as found, psycopg.connect(found.database_url) as database:
        query = "SELECT rolname, rolsuper, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        assert database.execute(query).fetchone() == ("warden", False, False, False)


def test_a_role_that_is_not_ours_is_not_let_in(lived_in):
    with services(lived_in, durable=False) as found:
        with psycopg.connect(found.database_url.replace("user=warden", "user=postgres"), autocommit=True) as server:
            server.execute("CREATE ROLE stranger LOGIN SUPERUSER")
        with pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
            psycopg.connect(found.database_url.replace("user=warden", "user=stranger"))


def test_what_was_committed_survives_the_death_of_both_servers(home):
    with services(home) as found:
        with psycopg.connect(found.database_url) as database:
            settings = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums")
            assert [database.execute(f"SHOW {name}").fetchone() for name in settings] == [("on",)] * 4
            database.execute("CREATE TABLE kept (word text)")
            database.execute("INSERT INTO kept VALUES ('yes')")
        for pid in pids(home):
            os.kill(pid, signal.SIGKILL)
    with services(home) as found, psycopg.connect(found.database_url) as database:
        assert database.execute("SELECT word FROM kept").fetchone() == ("yes",)


def test_a_killed_starter_leaves_nothing_and_the_next_start_works(lived_in, hold):
    process = hold()
    assert pids(lived_in)
    process.kill()
    process.wait()
    with services(lived_in, durable=False) as found, psycopg.connect(found.database_url) as database:
        assert database.execute("SELECT 1").fetchone() == (1,)
    assert pids(lived_in) == []


def test_a_lock_file_that_names_a_living_stranger_does_not_keep_the_server_from_starting(lived_in):
    with services(lived_in, durable=False):
        stale = (lived_in.path / "postgres/postmaster.pid").read_text().splitlines()
    stale[0] = str(os.getpid())
    (lived_in.path / "postgres/postmaster.pid").write_text("\n".join(stale) + "\n")
    with services(lived_in, durable=False) as found, psycopg.connect(found.database_url) as database:
        assert database.execute("SELECT 1").fetchone() == (1,)


def test_an_interrupted_first_start_is_begun_again(home):
    (home.path / "postgres.new/base").mkdir(parents=True)
    with services(home, durable=False) as found, psycopg.connect(found.database_url) as database:
        assert database.execute("SELECT 1").fetchone() == (1,)


def test_a_second_process_shares_the_servers_and_the_first_waits_for_it(lived_in, hold):
    first = hold()
    second = hold()
    first.stdin.close()
    time.sleep(0.3)
    assert first.poll() is None
    assert pids(lived_in)
    second.stdin.close()
    assert (second.wait(10), first.wait(20)) == (0, 0)
    assert pids(lived_in) == []


def test_what_an_earlier_owner_left_behind_is_ended_and_nothing_else(home):
    name, value = home.marker.split("=", 1)
    orphan = subprocess.Popen(["sleep", "60"], env={**os.environ, name: value})
    stranger = subprocess.Popen(["sleep", "60"], env={**os.environ, name: value + "-other"})
    clear(home)
    assert orphan.wait(5) == -signal.SIGTERM
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_addresses_in_the_environment_replace_both_servers(home, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example.com/warden")
    monkeypatch.setenv("REDIS_URL", "redis://redis.example.com/0")
    with services(home, durable=False) as found:
        assert (found.database_url, found.redis_url) == (
            "postgresql://db.example.com/warden",
            "redis://redis.example.com/0",
        )
    assert not (home.path / "postgres").exists()


def test_a_command_that_would_use_another_database_than_the_running_warden_is_refused(home, monkeypatch):
    claim = home.claim("run")
    claim.say(services=["valkey"])
    with pytest.raises(StartError, match="uses another postgres"), services(home, durable=False):
        pass
    claim.release()


def test_data_of_another_major_version_is_refused_with_a_way_out(lived_in):
    with services(lived_in, durable=False):
        pass
    (lived_in.path / "postgres/PG_VERSION").write_text("12\n")
    with pytest.raises(StartError, match="belongs to PostgreSQL 12"), services(lived_in, durable=False):
        pass
