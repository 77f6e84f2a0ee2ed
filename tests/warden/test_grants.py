"""The database's role of those who serve adds to the record, and cannot change it."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from audit.connection import conninfo
from audit.leaf import COLUMNS
from tests import factories
from tests.audit.sequencing import sequence, some_events

pytestmark = pytest.mark.django_db(transaction=True)
READ = ["audit_log", "audit_leaf", "audit_tile", "audit_checkpoint", "audit_signingkey", "audit_receipt",
        "audit_sequencer", "audit_verification"]  # fmt: skip


@pytest.fixture
def web(tmp_path: Any, settings: Any) -> Iterator[psycopg.Connection[Any]]:
    """A session of those who serve."""
    settings.WARDEN_HOME = tmp_path
    some_events(factories.an_organization().id, 3)
    sequence()
    with psycopg.connect(**conninfo() | {"user": "warden_web"}, autocommit=True) as session:
        yield session


def partitions() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_event'::regclass")
        return [name for (name,) in cursor.fetchall()]


def test_it_reads_and_adds(web: psycopg.Connection[Any]) -> None:
    for table in ["audit_event", *READ]:
        web.execute(f"SELECT count(*) FROM {table}")
    copied = web.execute(
        "INSERT INTO audit_event (id, at, organization_id, mode, kind, result, actor_type, actor_id, actor, agent,"
        " action, target, body, leaf) SELECT gen_random_uuid(), at, organization_id, mode, kind, result, actor_type,"
        " actor_id, actor, agent, action, target, body, leaf FROM audit_event LIMIT 1"
    )
    assert copied.rowcount == 1


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE {} SET {} = {}",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "DROP TABLE {}",
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "CREATE INDEX ON {} (({}))",
    ],
)
def test_it_changes_nothing_of_the_record(web: psycopg.Connection[Any], sql: str) -> None:
    for table in ["audit_event", *READ, *partitions()]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", [table])
            (column,) = cursor.fetchone()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            web.execute(sql.format(table, column, column))


def test_it_writes_nowhere_else_in_the_record(web: psycopg.Connection[Any]) -> None:
    for table in [*READ, *partitions()]:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            web.execute(f"INSERT INTO {table} SELECT * FROM {table} LIMIT 0")


def test_it_does_not_say_when_an_event_was_written_so_that_the_sequencer_would_pass_it_by(
    web: psycopg.Connection[Any],
) -> None:
    columns = ", ".join(COLUMNS)
    others = columns.removeprefix("id, ")
    copy = "INSERT INTO audit_event ({}) SELECT gen_random_uuid(), {} FROM audit_event LIMIT 1"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        web.execute(copy.format(f"{columns}, written", f"{others}, '3'::xid8"))
    assert web.execute(copy.format(columns, others)).rowcount == 1


def test_it_cannot_say_that_a_log_was_verified(web: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        web.execute("INSERT INTO audit_verification (log_id, at, size, problem) SELECT id, now(), 3, '' FROM audit_log")


def test_it_is_no_superuser_and_owns_nothing(web: psycopg.Connection[Any]) -> None:
    rights = "rolsuper, rolcreatedb, rolcreaterole, rolbypassrls"
    found = web.execute(f"SELECT {rights} FROM pg_roles WHERE rolname = current_user").fetchone()
    assert found == (False, False, False, False)
    owned = web.execute("SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = current_user").fetchone()
    assert owned == (0,)
