"""Every mutation of a record that a superuser of its database can make is found, and the first bad index is named.

`script/prove-sequencer` makes 2,000 of them.
"""

import os
import random
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from agentwarden.verify import verify_export
from agentwarden.verify._notes import read_keys
from django.db import transaction

from audit import bundle, kept, note, receipts
from audit.clock import database_now
from audit.connection import conninfo
from audit.leaf import Entry, leaf_hash
from audit.log import Leaf, Log, Receipt
from audit.models import Event
from audit.record import record_all
from tests import factories
from tests.audit.sequencing import BOT, sequence, some_events, tamper
from tests.audit.test_export import home, public_key, verify  # noqa: F401 - home is a fixture

pytestmark = pytest.mark.django_db(transaction=True)
MUTATIONS = int(os.environ.get("MUTATIONS", "200"))
TABLES = ["audit_event", "audit_leaf", "audit_tile", "audit_checkpoint", "audit_log", "audit_receipt",
          "audit_signingkey", "audit_sequencer"]  # fmt: skip


class Crime:
    """A record, and ways to change it as a superuser of the database can. Each says the first index that is wrong."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.acme = factories.an_organization()
        for count in (7, 40, 1, 30):
            some_events(self.acme.id, count)
            sequence()
        self.save("older")
        self.claim()
        some_events(self.acme.id, 11)
        sequence()
        self.log = Log.objects.get()
        self.size = 90
        self.claimed = Leaf.objects.get(event_id=Receipt.objects.get().event_id).index
        self.save("saved")
        self.note = kept.read(self.acme.id, "live")

    def claim(self) -> None:
        """An event that asks for a receipt."""
        said = {"receipt": {"aud": "payments", "sub": "apr_1"}}
        entry = Entry(receipts.RECEIPTED[0], self.acme.id, "live", BOT, target="apr_1", result="allow", data=said)
        with transaction.atomic():
            record_all([entry], at=database_now())

    def save(self, name: str) -> None:
        self.drop(name)
        for table in TABLES:
            tamper(f"CREATE TABLE {name}_{table} AS TABLE {table}")

    def restore(self, name: str) -> None:
        forced = {"user": "postgres", "options": "-c session_replication_role=replica"}
        with psycopg.connect(**conninfo() | forced) as superuser:
            for table in TABLES:
                superuser.execute(f"DELETE FROM {table}")
                superuser.execute(f"INSERT INTO {table} SELECT * FROM {name}_{table}")

    def undo(self) -> None:
        self.restore("saved")
        kept.keep(self.acme.id, "live", self.note)

    def drop(self, name: str) -> None:
        for table in TABLES:
            tamper(f"DROP TABLE IF EXISTS {name}_{table}")

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

    def place(self) -> int:
        """A column of where an event is."""
        index, event = self.row()
        column, value = self.random.choice(
            [("event_id", uuid.uuid4()), ("log_id", 0), ("at", event.at.replace(year=event.at.year - 1))]
        )
        assert tamper(f"UPDATE audit_leaf SET {column} = %s WHERE event_id = %s", value, event.id) == 1
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

    def swap_of_contents(self) -> int:
        """Two rows say each what the other said, in every column but where they are."""
        one, other = sorted(self.random.sample(range(self.size), 2))
        pair = [Event.objects.get(id=self.log.leaves.get(index=index).event_id) for index in (one, other)]
        for event, source in (pair, pair[::-1]):
            tamper("UPDATE audit_event SET body = %s, leaf = %s WHERE id = %s", source.body, source.leaf, event.id)
        return one

    def addition_in_the_past(self) -> int:
        """By the door, with a false time: it gets the index that it deserves, and tells by its time."""
        self._add("", [])
        sequence()
        return self.size

    def addition_behind_the_sequencer(self) -> None:
        self._add(", written", [self.random.choice(["3", "4000000000000"])])

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

    def older_database(self) -> int:
        """Every table as it was, so that all of it agrees: what was kept outside tells."""
        self.restore("older")
        return 78

    def older_database_that_went_on(self) -> Callable[[int], bool]:
        """And other events came, more than there had been, in a process that does not know what was kept."""
        self.restore("older")
        kept.forget(self.acme.id, "live")
        some_events(self.acme.id, 12 + self.random.randrange(9))
        sequence()
        kept.keep(self.acme.id, "live", self.note)
        return lambda named: named == 78  # the last checkpoint that holds

    def receipt(self) -> int:
        token = Receipt.objects.get().token
        place = self.random.randrange(len(token))
        altered = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        tamper(*self.random.choice([
            ("UPDATE audit_receipt SET token = %s", altered),
            ("DELETE FROM audit_receipt",),
            ("UPDATE audit_receipt SET event_id = %s", uuid.uuid4()),
        ]))  # fmt: skip
        return self.claimed

    def key(self) -> None:
        tamper(*self.random.choice([
            ("UPDATE audit_signingkey SET public = %s", bytes(range(32))),
            ("DELETE FROM audit_signingkey",),
        ]))  # fmt: skip

    def beginning(self) -> None:
        """As if the time of what is before were over."""
        tamper("UPDATE audit_log SET first = %s", self.random.randrange(1, self.size))

    def cut(self) -> Callable[[int], bool]:
        """Everything after a checkpoint is gone."""
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
    Crime.place,
    Crime.body_with_its_leaf,
    Crime.body_with_its_leaf_and_tile,
    Crime.tile,
    Crime.deletion,
    Crime.deletion_with_its_leaf,
    Crime.swap,
    Crime.swap_of_contents,
    Crime.addition_in_the_past,
    Crime.addition_behind_the_sequencer,
    Crime.addition_with_a_leaf,
    Crime.older_database,
    Crime.older_database_that_went_on,
    Crime.cut,
    Crime.last_rows,
    Crime.checkpoint,
    Crime.receipt,
    Crime.key,
    Crime.beginning,
]


@pytest.fixture
def crime() -> Iterator[Crime]:
    crime = Crime(int(os.environ.get("MUTATIONS_SEED", "1")))
    yield crime
    crime.drop("older")
    crime.drop("saved")


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
