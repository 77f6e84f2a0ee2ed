"""Writers, slow transactions, and a sequencer that is killed again and again: nothing is lost, twice, or out of order.

SEQUENCED_EVENTS and SEQUENCER_KILLS make it larger: `script/prove-sequencer` runs 100,000 events and 60 kills.
"""

import hashlib
import os
import random
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
from agentwarden.verify import verify_export
from agentwarden.verify._notes import read_keys
from django.db import connection

from audit import bundle, kept, note
from audit.connection import conninfo
from audit.leaf import COLUMNS, Entry, row
from audit.log import Leaf, Log, SigningKey
from audit.models import Event
from tests.audit.sequencing import BOT, Process, sequence, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
EVENTS = int(os.environ.get("SEQUENCED_EVENTS", "5000"))
KILLS = int(os.environ.get("SEQUENCER_KILLS", "8"))
WRITERS = 6
LOGS = [(uuid.UUID(int=1), "live"), (uuid.UUID(int=1), "test"), (uuid.UUID(int=1), ""), (uuid.UUID(int=2), "live")]


def root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, as it is defined: by recursion, from all leaves at once."""
    if len(hashes) == 1:
        return hashes[0]
    middle = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(hashes[:middle]) + root(hashes[middle:])).digest()


def write(seed: int, count: int, acknowledged: set[uuid.UUID], ended: threading.Event) -> None:
    """Commits events in transactions of all sizes until all are written and nothing is killed any more.

    Some linger before their commit, some are rolled back.
    """
    dice = random.Random(seed)
    columns = ", ".join(COLUMNS)
    with psycopg.connect(**conninfo()) as session:
        while count > 0 or not ended.is_set():
            rows = []
            for _ in range(dice.choice([1, 2, 20, 100]) if count > 0 else 1):
                organization_id, mode = dice.choice(LOGS)
                entry = Entry("agent:check:allow", organization_id, mode, BOT, data={"n": dice.random()})  # type: ignore[arg-type]
                rows.append((entry, session.execute("SELECT clock_timestamp()").fetchone()))
            with session.cursor().copy(f"COPY audit_event ({columns}) FROM STDIN") as copy:
                for entry, now in rows:
                    made: Any = row(entry, now[0])  # type: ignore[index]
                    copy.write_row(made)
            time.sleep(dice.random() * (2 if dice.random() < 0.1 else 0.05))
            if dice.random() < 0.1:
                session.rollback()
                continue
            session.commit()
            acknowledged |= {entry.id for entry, _ in rows}
            count -= len(rows)


def test_under_kills_and_slow_transactions_each_event_has_one_index_and_the_root_is_right(
    tmp_path: Path, settings: Any
) -> None:
    settings.WARDEN_HOME = tmp_path
    dice = random.Random(EVENTS)
    ended = threading.Event()
    acknowledged: list[set[uuid.UUID]] = [set() for _ in range(WRITERS)]
    writers = [
        threading.Thread(target=write, args=(number, EVENTS // WRITERS + 1, acknowledged[number], ended))
        for number in range(WRITERS)
    ]
    with Process(str(tmp_path)) as process:
        wait_for(lambda: SigningKey.objects.exists())
        for writer in writers:
            writer.start()
        for kills in range(KILLS):
            wait_for(lambda: process.log.read_bytes().count(b"sequencer_holds") > kills)  # noqa: B023 - waited for here
            time.sleep(dice.random())
            process.kill()
            process.start()
        ended.set()
        for writer in writers:
            writer.join()
        everything = set().union(*acknowledged)
        assert Event.objects.count() == len(everything) >= EVENTS
        wait_for(lambda: Leaf.objects.count() == len(everything), 120)
    sequence()

    connection.close()
    assert set(Leaf.objects.values_list("event_id", flat=True)) == everything
    hashes = dict(Event.objects.values_list("id", "leaf"))
    for log in Log.objects.all():
        leaves = list(log.leaves.order_by("index").values_list("index", "event_id"))
        assert [index for index, _ in leaves] == list(range(len(leaves)))
        ordered = [bytes(hashes[event_id]) for _, event_id in leaves]
        heads = list(log.checkpoints.order_by("size"))
        assert heads[-1].size == len(leaves)
        assert bytes(heads[-1].root) == root(ordered)
        for head in dice.sample(heads, min(20, len(heads))):
            assert bytes(head.root) == root(ordered[: head.size])
        assert kept.read(log.organization_id, log.mode) == heads[-1].note
    trusted = read_keys(note.encode(bytes(SigningKey.objects.get().public)))
    bundle.write(tmp_path / "out", list(Log.objects.order_by("id")))
    assert [said["problem"] for said in verify_export(tmp_path / "out", trusted)] == [None] * len(LOGS)
