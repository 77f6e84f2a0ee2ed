"""What every test may ask for: the database as production has it, and a real server on a real port."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from tests.server import Server, test_database_url, web_database_url


class ByFile(LoadFileScheduling):
    """A file's tests in one process, which keeps what they share; the parts of one long test where there is room."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(PARTED) else str(super()._split_scope(nodeid))


PARTED = "tests/approvals/test_machine.py"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return ByFile(config, log)


# How long a machine takes is no finding. The same examples each time, so that a change is judged by itself alone;
# others with --hypothesis-profile=random, as the long runs in script/ have them.
settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("random"), derandomize=True)
settings.load_profile("repeatable")

# After a test on a real server what was written is taken away. Django would TRUNCATE every table, used or not, and make
# its content types anew, which takes longer than most tests. The record refuses both DELETE and TRUNCATE; here it lets
# the latter pass, as the owner of a table may. The epoch's one row comes back with another value.
AFTER_MIGRATIONS = """
DO $$
DECLARE
    guard record;
BEGIN
    FOR guard IN SELECT tgrelid::regclass AS name, tgname FROM pg_trigger
        WHERE tgfoid = 'audit_refuse'::regproc AND tgname LIKE '%no_truncate'
    LOOP
        EXECUTE format('ALTER TABLE ONLY %s DISABLE TRIGGER %I', guard.name, guard.tgname);
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION tests_new_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO agents_epoch (id, value) VALUES (1, (random() * 1e15)::bigint);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER tests_new_epoch AFTER TRUNCATE ON agents_epoch
    FOR EACH STATEMENT EXECUTE FUNCTION tests_new_epoch();
CREATE OR REPLACE PROCEDURE tests_empty() LANGUAGE plpgsql AS $$
DECLARE
    made text[] := ARRAY(
        SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        AND relname NOT IN ('django_migrations', 'django_content_type', 'auth_permission')
    );
    refusing text[] := ARRAY(SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgtype & 32 > 0);  -- of TRUNCATE
    one text;
    found boolean;
BEGIN
    FOREACH one IN ARRAY made LOOP  -- whoever still writes ends first
        EXECUTE format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', one);
    END LOOP;
    FOREACH one IN ARRAY made LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %s)', one) INTO found;
        IF found AND one = ANY(refusing) THEN
            EXECUTE format('TRUNCATE ONLY %s', one);
        END IF;
    END LOOP;
    FOREACH one IN ARRAY made LOOP
        IF one <> ALL(refusing) THEN
            EXECUTE format('DELETE FROM ONLY %s', one);
        END IF;
    END LOOP;
END $$;
"""

# Those of servers that were killed: a backend notices when it next has something to say.
OTHERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
)


def empty(case: TransactionTestCase) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CALL tests_empty()")


TransactionTestCase._fixture_teardown = empty


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """The migrated database, made fit to be emptied between tests, and left by everybody before it is dropped."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(AFTER_MIGRATIONS)
    yield
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        connection.close()
        for url in {test_database_url(), web_database_url()}:
            with psycopg.connect(url, autocommit=True) as own:
                own.execute(OTHERS)


@pytest.fixture(scope="session")
def running_server(django_db_setup: None) -> Iterator[Server]:
    """Warden itself under granian, on the test database."""
    with Server() as server:
        yield server


@pytest.fixture
def server(running_server: Server, transactional_db: None) -> Server:
    """The running server, for a test whose rows it must see."""
    return running_server
