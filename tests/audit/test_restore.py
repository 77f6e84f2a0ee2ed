"""A backup is restored into another PostgreSQL as docs/operating.md says: the record notices, and goes on when told."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings

from audit.log import Log
from tests import factories, server
from tests.audit.sequencing import Process, sequence, some_events, wait_for
from tests.audit.test_export import home, public_key, verify  # noqa: F401 - home is a fixture
from warden.embedded.home import Home
from warden.embedded.postgres import Postgres
from warden.embedded.services import services

pytestmark = pytest.mark.django_db(transaction=True)


def manage(environment: dict[str, str], *words: str) -> Any:
    """A command on the restored Warden."""
    done = subprocess.run(
        [sys.executable, "manage.py", *words, "--json"],
        env=os.environ | environment,
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_older_backup_is_refused_accepted_with_a_reason_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored = Home(tmp_path / "restored")
    programs = Postgres(restored).binaries
    acme = factories.an_organization()
    some_events(acme.id, 5)
    sequence()
    dump = tmp_path / "warden.sql"
    subprocess.run([programs / "pg_dump", "--dbname", server.test_database_url(), "--file", dump], check=True)
    some_events(acme.id, 3)
    sequence()
    log, mine = Log.objects.get(organization_id=acme.id, mode="live"), tmp_path / "mine.checkpoint"
    mine.write_text(log.checkpoints.get(size=8).note)
    key = public_key(tmp_path)

    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name)
    with services(restored) as addresses:
        monkeypatch.undo()  # the two of the test run again, for all but the restored Warden
        load = [programs / "psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--single-transaction", "--file", dump]
        subprocess.run([*load, addresses.database_url], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(tmp_path / "signing_key", restored.path)
        shutil.copytree(tmp_path / "checkpoints", restored.path / "checkpoints")
        environment = {
            "DATABASE_URL": addresses.database_url,
            "REDIS_URL": addresses.redis_url,
            "WARDEN_HOME": str(restored.path),
            "DJANGO_SETTINGS_MODULE": "warden.settings",
        }
        with psycopg.connect(addresses.database_url, autocommit=True) as own:

            def state() -> tuple[Any, ...]:
                row = own.execute(
                    "SELECT refusal, waiting_since, (SELECT max(size) FROM audit_checkpoint WHERE log_id = %s),"
                    " coalesce(beat_at > now() - interval '10 seconds', false) FROM audit_sequencer",
                    [log.pk],
                ).fetchone()
                assert row
                return row

            with Process(str(restored.path), **environment):
                wait_for(lambda: "shorter than it was: 5 events, and 8 were signed" in state()[0])
                assert manage(environment, "accept_restored_record", "--reason", "A disk failed")["accepted"]
                wait_for(lambda: state()[2] == 6)  # the five, and what says why there are no more
                wait_for(lambda: state() == ("", None, 6, True))  # nothing waits, so nobody is denied for it
        manage(environment, "export_audit", "--output", str(tmp_path / "out"), "--mode", "live")
        assert verify(tmp_path / "out", "--public-key", key)[0] == 0
        code, said = verify(tmp_path / "out", "--public-key", key, "--checkpoint", mine)
        assert (code, said["logs"][0]["index"]) == (1, 6)
        assert "the log ends at 6, but a checkpoint of 8 was kept" in said["logs"][0]["problem"]
