"""An export is checked by warden-verify, which knows nothing of the server; every mutation is found."""

import json
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from agentwarden.verify import verify_export
from agentwarden.verify._notes import read_keys
from django.core.management import call_command
from django.core.management.base import CommandError

from audit import bundle, kept, note, signing
from audit.connection import conninfo
from audit.leaf import leaf_hash
from audit.log import Log, SigningKey
from audit.models import Event
from tests import factories
from tests.audit.sequencing import sequence, some_events, tamper

pytestmark = pytest.mark.django_db(transaction=True)
MUTATIONS = int(os.environ.get("MUTATIONS", "200"))
TABLES = ["audit_event", "audit_leaf", "audit_tile", "audit_checkpoint"]


@pytest.fixture(autouse=True)
def home(tmp_path, settings) -> None:
    settings.WARDEN_HOME = tmp_path


def public_key(folder: Path) -> Path:
    """The file that an auditor has."""
    file = folder / "warden.pub"
    origin = f"{signing.site()}/keys"
    file.write_text("".join(note.verifier_key(origin, bytes(key.public)) + "\n" for key in SigningKey.objects.all()))
    return file


def verify(*words: object) -> tuple[int, Any]:
    """`warden-verify … --json`, as its users run it."""
    command = [sys.executable, "-c", "import sys; from agentwarden.verify import main; sys.exit(main())"]
    done = subprocess.run([*command, *map(str, words), "--json"], capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_an_export_holds_and_says_what_it_holds(tmp_path) -> None:
    acme = factories.an_organization("acme")
    for count in (3, 300, 1):
        some_events(acme.id, count)
        some_events(acme.id, 2, "test")
        sequence()
    call_command("export_audit", "--output", str(tmp_path / "out"), "--organization", acme.slug)
    code, said = verify(tmp_path / "out", "--public-key", public_key(tmp_path))
    assert code == 0, said
    assert [(log["size"], log["checkpoints"]) for log in said["logs"]] == [(304, 3), (6, 3)]
    with pytest.raises(CommandError, match="not empty"):
        call_command("export_audit", "--output", str(tmp_path / "out"))


def test_an_export_of_the_last_part_holds_too(tmp_path) -> None:
    acme = factories.an_organization()
    for count in (200, 100, 50):
        events = some_events(acme.id, count)
        sequence()
    call_command("export_audit", "--output", str(tmp_path / "out"), "--since", events[0].at.isoformat())
    code, said = verify(tmp_path / "out", "--public-key", public_key(tmp_path))
    assert code == 0
    assert (said["logs"][0]["first"], said["logs"][0]["size"]) == (300, 350)


def test_a_rotated_key_is_trusted_by_the_word_of_the_old_one_and_no_other(tmp_path) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 3)
    sequence()
    first = public_key(tmp_path)
    call_command("rotate_signing_key")
    some_events(acme.id, 3)
    sequence()
    call_command("export_audit", "--output", str(tmp_path / "out"))
    assert verify(tmp_path / "out", "--public-key", first)[0] == 0
    (tmp_path / "other.pub").write_text(note.encode(bytes(range(32))))
    code, said = verify(tmp_path / "out", "--public-key", tmp_path / "other.pub")
    assert code == 1
    assert "not signed by a key that you trust" in said["logs"][0]["problem"]

    call_command("rotate_signing_key", "--lost")
    some_events(acme.id)
    sequence()
    call_command("export_audit", "--output", str(tmp_path / "lost"))
    assert verify(tmp_path / "lost", "--public-key", first)[0] == 1
    assert verify(tmp_path / "lost", "--public-key", public_key(tmp_path))[0] == 0


def test_a_checkpoint_that_was_kept_elsewhere_is_compared(tmp_path) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 5)
    sequence()
    log = Log.objects.get()
    private = signing.read(signing.key_file().read_text())
    mine = tmp_path / "mine.note"
    mine.write_text(log.checkpoints.get().note)
    some_events(acme.id, 5)
    sequence()
    call_command("export_audit", "--output", str(tmp_path / "out"))
    words = (tmp_path / "out", "--public-key", public_key(tmp_path), "--checkpoint", mine)
    assert verify(*words)[0] == 0
    mine.write_text(note.sign(note.Head(log.origin, 5, bytes(32)).text, log.origin, private))
    code, said = verify(*words)
    assert code == 1
    assert "checkpoint of 5 does not hold" in said["logs"][0]["problem"]


def test_what_is_no_export_or_no_key_is_said(tmp_path) -> None:
    (tmp_path / "key").write_text("nonsense")
    assert verify(tmp_path, "--public-key", tmp_path / "key")[0] == 2
    (tmp_path / "key").write_text(note.encode(bytes(32)))
    assert verify(tmp_path, "--public-key", tmp_path / "key")[0] == 2


class Crime:
    """A record, and ways to change it as a superuser of the database can. Each says the first index that is wrong."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.acme = factories.an_organization()
        for count in (7, 40, 1, 30, 12):
            some_events(self.acme.id, count)
            sequence()
        self.log = Log.objects.get()
        self.size = 90
        for table in TABLES:
            tamper(f"CREATE TABLE IF NOT EXISTS saved_{table} AS TABLE {table}")
        self.note = kept.read(self.acme.id, "live")

    def undo(self) -> None:
        forced = {"user": "postgres", "options": "-c session_replication_role=replica"}
        with psycopg.connect(**conninfo() | forced) as superuser:
            for table in TABLES:
                superuser.execute(f"DELETE FROM {table}")
                superuser.execute(f"INSERT INTO {table} SELECT * FROM saved_{table}")
        kept.keep(self.acme.id, "live", self.note)

    def close(self) -> None:
        for table in TABLES:
            tamper(f"DROP TABLE IF EXISTS saved_{table}")

    def row(self) -> tuple[int, Event]:
        index = self.random.randrange(self.size)
        return index, Event.objects.get(id=self.log.leaves.get(index=index).event_id)

    def column(self) -> int:
        index, event = self.row()
        name, value = self.random.choice(
            [
                ("id", uuid.uuid4()),
                ("at", event.at.replace(year=event.at.year - self.random.choice([0, 1]), microsecond=1)),
                ("organization_id", uuid.uuid4()),
                ("mode", "test"),
                ("kind", "agent:check:deny"),
                ("result", "deny"),
                ("actor_type", "person"),
                ("actor_id", "somebody else"),
                ("actor", "mallory"),
                ("agent", "other-bot"),
                ("action", "stripe.payout"),
                ("target", "apr_X"),
                ("body", event.body.replace('"allow"', '"deny"', 1)),
                ("body", event.body + " "),
                ("body", event.body + "\n{}"),
                ("leaf", bytes(32)),
            ]
        )
        assert tamper(f"UPDATE audit_event SET {name} = %s WHERE id = %s", value, event.id) == 1
        return index

    def body_with_its_leaf(self) -> int:
        index, event = self.row()
        body = event.body.replace("stripe.refund", "stripe.payout")
        tamper("UPDATE audit_event SET body = %s, action = 'stripe.payout', leaf = %s WHERE id = %s",
               body, leaf_hash(body), event.id)  # fmt: skip
        return index

    def body_with_its_leaf_and_tile(self) -> Callable[[int], bool]:
        index = self.body_with_its_leaf()
        event = Event.objects.get(id=self.log.leaves.get(index=index).event_id)
        self._tile(index, bytes(event.leaf))
        return lambda named: named <= index  # the tree itself is forged: the first checkpoint after it tells

    def _tile(self, index: int, leaf: bytes) -> None:
        tamper("UPDATE audit_tile SET hashes = overlay(hashes PLACING %s::bytea FROM %s FOR 32)"
               " WHERE level = 0 AND number = 0", leaf, index * 32 + 1)  # fmt: skip

    def tile(self) -> int:
        index = self.random.randrange(self.size)
        self._tile(index, bytes(range(32)))
        return index

    def deletion(self) -> int:
        index, event = self.row()
        tamper("DELETE FROM audit_event WHERE id = %s", event.id)
        return index

    def deletion_with_its_leaf(self) -> int:
        index, event = self.row()
        tamper("DELETE FROM audit_event WHERE id = %s", event.id)
        tamper("DELETE FROM audit_leaf WHERE event_id = %s", event.id)
        if self.random.random() < 0.5:  # and the others close the gap
            tamper("UPDATE audit_leaf SET index = -index WHERE index > %s", index)
            tamper("UPDATE audit_leaf SET index = -index - 1 WHERE index < 0")
        return index

    def swap(self) -> int:
        one, other = sorted(self.random.sample(range(self.size), 2))
        tamper("UPDATE audit_leaf SET index = -1 WHERE index = %s", one)
        tamper("UPDATE audit_leaf SET index = %s WHERE index = %s", one, other)
        tamper("UPDATE audit_leaf SET index = %s WHERE index = -1", other)
        return one

    def addition_in_the_past(self) -> int:
        """By the door, with a false time: it gets the index that it deserves, and tells by its time."""
        self._add("", [])
        sequence()
        return self.size

    def addition_behind_the_sequencer(self) -> None:
        self._add(", written", ["3"])

    def addition_with_a_leaf(self) -> None:
        number = self._add(", written", ["3"])
        tamper("INSERT INTO audit_leaf (event_id, log_id, index, at) SELECT id, %s, %s, at FROM audit_event"
               " WHERE id = %s", self.log.pk, self.size, number)  # fmt: skip

    def _add(self, column: str, values: list[str]) -> uuid.UUID:
        _, event = self.row()
        number = uuid.uuid4()
        at = event.at.replace(year=event.at.year - 1)
        body = event.body.replace(f'"at":"{event.at.year}', f'"at":"{at.year}')
        columns = "organization_id, mode, kind, result, actor_type, actor_id, actor, agent, action, target"
        tamper(f"INSERT INTO audit_event (id, at, {columns}, body, leaf{column})"
               f" SELECT %s, %s, {columns}, %s, %s {', %s::xid8' if values else ''} FROM audit_event WHERE id = %s",
               number, at, body, leaf_hash(body), *values, event.id)  # fmt: skip
        return number

    def cut(self) -> Callable[[int], bool]:
        """As an older database: everything after a checkpoint is gone, the cursor too."""
        size = self.random.choice([7, 47, 48, 78])
        tamper("DELETE FROM audit_event WHERE id IN (SELECT event_id FROM audit_leaf WHERE index >= %s)", size)
        tamper("DELETE FROM audit_leaf WHERE index >= %s", size)
        tamper("DELETE FROM audit_checkpoint WHERE size > %s", size)
        tamper("UPDATE audit_tile SET hashes = substring(hashes FOR %s)", size * 32)
        return lambda named: named == size

    def last_rows(self) -> int:
        size = self.random.randrange(1, self.size)
        tamper("DELETE FROM audit_event WHERE id IN (SELECT event_id FROM audit_leaf WHERE index >= %s)", size)
        return size

    def checkpoint(self) -> Callable[[int], bool] | None:
        head = self.random.choice(list(self.log.checkpoints.order_by("size")))
        forged = note.read_head(head.note.partition("\n\n")[0] + "\n")._replace(root=bytes(32))
        changed = self.random.choice(
            [head.note.replace(note.encode(bytes(head.root)), note.encode(forged.root)), head.note[:-3] + "x=\n"]
        )
        tamper("UPDATE audit_checkpoint SET note = %s WHERE size = %s", changed, head.size)
        return None


KINDS = [
    *[Crime.column] * 6,
    Crime.body_with_its_leaf,
    Crime.body_with_its_leaf_and_tile,
    Crime.tile,
    Crime.deletion,
    Crime.deletion_with_its_leaf,
    Crime.swap,
    Crime.addition_in_the_past,
    Crime.addition_behind_the_sequencer,
    Crime.addition_with_a_leaf,
    Crime.cut,
    Crime.last_rows,
    Crime.checkpoint,
]


@pytest.fixture
def crime() -> Iterator[Crime]:
    crime = Crime(int(os.environ.get("MUTATIONS_SEED", "1")))
    yield crime
    crime.close()


def test_of_many_mutations_none_is_missed_and_the_first_bad_index_is_named(crime: Crime, tmp_path: Path) -> None:
    trusted = read_keys(public_key(tmp_path).read_text())
    missed = []
    for number in range(MUTATIONS):
        kind = KINDS[number % len(KINDS)]
        expected = kind(crime)
        folder = tmp_path / f"out{number}"
        bundle.write(folder, [crime.log])
        [said] = verify_export(folder, trusted)
        index = said["index"]
        named = index == expected if isinstance(expected, int) else expected is None or expected(index)
        if not said["problem"] or not named:
            missed.append((kind.__name__, expected, said))
        crime.undo()
    assert missed == []
    bundle.write(tmp_path / "whole", [crime.log])
    assert verify_export(tmp_path / "whole", trusted)[0]["problem"] is None
