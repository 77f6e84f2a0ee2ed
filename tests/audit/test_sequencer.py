"""The sequencer: order, trees, checkpoints; restarts, refusals, restores."""

import hashlib
import io
import json
import time
import uuid

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, transaction

from audit import kept, lag, note, sequencer, signing
from audit.clock import database_now
from audit.connection import conninfo
from audit.log import Checkpoint, Log, Sequencer, SigningKey
from audit.models import Event
from audit.signing import Refused
from audit.verify import verify_all
from tests import factories
from tests.audit.sequencing import Process, leaves, order, sequence, session, some_events, tamper, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
ACME, GLOBEX = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.fixture(autouse=True)
def home(tmp_path, settings) -> None:
    """A folder for the key and the kept checkpoints of this test alone."""
    settings.WARDEN_HOME = tmp_path


def mth(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1, as it is written there."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


def only_log(organization_id=ACME, mode="live") -> Log:
    return Log.objects.get(organization_id=organization_id, mode=mode)


def newest(log: Log) -> Checkpoint:
    return log.checkpoints.order_by("-size")[0]


def test_each_organization_and_mode_has_a_log_of_its_own_without_gaps() -> None:
    some_events(ACME, 3)
    some_events(ACME, 2, "test")
    some_events(ACME, 1, "")
    some_events(GLOBEX, 4)
    sequence()
    sizes = {(log.organization_id, log.mode): len(order(log)) for log in Log.objects.all()}
    assert sizes == {(ACME, "live"): 3, (ACME, "test"): 2, (ACME, ""): 1, (GLOBEX, "live"): 4}


def test_a_checkpoint_is_signed_over_the_root_of_all_leaves() -> None:
    with session() as running:
        for count in (1, 2, 255, 1, 300):
            some_events(ACME, count)
            running.turn()
            log = only_log()
            signed = newest(log)
            text = note.verified(signed.note, log.origin, bytes(SigningKey.objects.get().public))
            assert note.read_head(text) == (log.origin, signed.size, mth(leaves(log)))
            assert kept.read(ACME, "live") == signed.note
    assert [each.size for each in log.checkpoints.order_by("size")] == [1, 3, 258, 259, 559]


def test_a_slow_transaction_is_not_skipped_by_those_that_overtake_it() -> None:
    with session() as running, psycopg.connect(**conninfo()) as slow:
        columns = "id, at, organization_id, mode, kind, result, actor_type, actor_id, actor, agent, action, target"
        slow.execute(
            f"INSERT INTO audit_event ({columns}, body, leaf) VALUES (gen_random_uuid(), now(), %s, 'live', 'a', '',"
            " 'system', '', '', '', '', '', '{}', sha256('\\x00'::bytea || '{}'::bytea))",
            [ACME],
        )
        some_events(ACME, 5)
        assert running.turn() == 0  # they wait for it: who is below may still come
        slow.commit()
        assert running.turn() == 6
    assert len(order(only_log())) == 6


def test_what_is_rolled_back_leaves_no_gap() -> None:
    with session() as running:
        some_events(ACME, 2)
        with transaction.atomic():
            some_events(ACME, 3)
            transaction.set_rollback(True)
        some_events(ACME, 2)
        running.turn()
    assert len(order(only_log())) == 4


def test_a_new_process_goes_on_where_the_last_one_ended() -> None:
    for count in (5, 260, 1):
        some_events(ACME, count)
        sequence()
    log = only_log()
    assert len(order(log)) == 266
    assert bytes(newest(log).root) == mth(leaves(log))
    assert SigningKey.objects.count() == 1


def test_the_key_is_made_once_and_readable_by_its_user_alone() -> None:
    sequence()
    file = signing.key_file()
    assert file.stat().st_mode & 0o777 == 0o600
    made = file.read_text()
    sequence()
    assert file.read_text() == made
    file.unlink()
    with pytest.raises(Refused, match="rotate_signing_key --lost"):
        sequence()


def test_another_key_is_refused_until_it_was_rotated(settings) -> None:
    sequence()
    old = signing.key_file().read_text().strip()
    settings.AUDIT_SIGNING_KEY = note.encode(bytes(range(32)))
    with pytest.raises(Refused, match="not the one that signed last"):
        sequence()
    settings.AUDIT_SIGNING_KEY_OLD = old
    some_events(ACME)
    sequence()
    first, second = SigningKey.objects.all()
    text = note.verified(second.certificate, f"{signing.site()}/keys", bytes(first.public))
    assert note.encode(bytes(second.public)) in text
    assert newest(only_log()).key_id == second.pk


def test_a_log_whose_end_was_cut_is_refused() -> None:
    some_events(ACME, 5)
    sequence()
    tamper("DELETE FROM audit_leaf WHERE index = 4")
    with pytest.raises(Refused, match="4 events in order, but 5 were signed"):
        sequence()


def test_an_older_database_is_refused_by_what_was_kept_outside_of_it() -> None:
    some_events(ACME, 3)
    sequence()
    some_events(ACME, 3)
    sequence()
    tamper("DELETE FROM audit_leaf WHERE index >= 3")
    tamper("DELETE FROM audit_checkpoint WHERE size > 3")
    tamper("UPDATE audit_tile SET hashes = substring(hashes FOR 96)")
    with pytest.raises(Refused, match="shorter than it was: 3 events, and 6 were signed"):
        sequence()


def test_a_forked_log_is_refused_by_what_was_kept_outside_of_it() -> None:
    some_events(ACME, 5)
    sequence()
    log = only_log()
    private = signing.read(signing.key_file().read_text())
    other = note.Head(log.origin, 3, mth([bytes(32)] * 3))  # signed by the same key, as a restored copy would have
    kept.keep(ACME, "live", note.sign(other.text, log.origin, private))
    with pytest.raises(Refused, match="forked"):
        sequence()


def test_a_dump_loaded_into_another_postgresql_is_gone_on_with() -> None:
    """There, transactions count from elsewhere: below what the sequencer had reached, say."""
    some_events(ACME, 3)
    sequence()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_sequencer SET cluster = 1, xid = 4000000000000")
    some_events(ACME, 2)
    sequence()
    some_events(ACME, 2)
    sequence()
    assert len(order(only_log())) == 7
    assert Event.objects.count() == 7
    assert bytes(newest(only_log()).root) == mth(leaves(only_log()))


def test_what_came_with_a_dump_is_not_taken_for_events_that_wait() -> None:
    """There, transactions may count from far above those of here, and would seem to be yet to come."""
    some_events(ACME, 3)
    sequence()
    tamper("UPDATE audit_event SET written = '4000000000000'")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_sequencer SET cluster = 1")
    some_events(ACME, 2)
    sequence()
    assert len(order(only_log())) == 5
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {lag.ORDERED}")
        [ordered_at] = cursor.fetchone()
    now = database_now()
    assert Sequencer.objects.get().waiting_since is None
    assert not lag.is_late(ordered_at, now)
    assert lag.seconds(now) == 0
    assert [each.problem for each in verify_all()] == [""]


def test_a_key_is_rotated_by_command_and_the_old_one_vouches_for_the_new() -> None:
    some_events(ACME)
    sequence()
    before = signing.key_file().read_text()
    answer = json.loads(call("rotate_signing_key", "--json"))
    assert signing.key_file().read_text() != before
    some_events(ACME)
    sequence()
    first, second = SigningKey.objects.all()
    assert note.encode(bytes(second.public)) == answer["public_key"]
    assert answer["public_key"] in note.verified(second.certificate, f"{signing.site()}/keys", bytes(first.public))
    log = only_log()
    for size, key in ((1, first), (2, second)):
        note.verified(log.checkpoints.get(size=size).note, log.origin, bytes(key.public))


def test_a_rotation_that_was_interrupted_before_the_file_changed_is_finished_by_the_next_start(tmp_path) -> None:
    sequence()
    file = signing.key_file()
    old = file.read_text()
    call("rotate_signing_key")
    new = file.read_text()
    file.rename(file.with_name("signing_key.next"))
    file.write_text(old)
    sequence()
    assert file.read_text() == new


def test_a_restored_database_goes_on_once_somebody_has_said_so_and_the_record_tells() -> None:
    organization = factories.an_organization()
    some_events(organization.id, 3)
    sequence()
    log = only_log(organization.id)
    private = signing.read(signing.key_file().read_text())
    later = note.Head(log.origin, 9, mth([bytes(32)] * 9))
    kept.keep(organization.id, "live", note.sign(later.text, log.origin, private))
    with pytest.raises(Refused, match="shorter"):
        sequence()
    call("accept_restored_record", "--reason", "Monday's backup")
    sequence()
    told = Event.objects.get(kind="system:record:accept")
    assert told.data["reason"] == "Monday's backup"
    assert later.text in told.data["kept"]
    assert len(order(log)) == 4


def published(log: Log, head: note.Head) -> None:
    """As the worker publishes, to storage that nobody can change."""
    folder = kept.published_folder(log.organization_id, log.mode)
    folder.mkdir(parents=True, exist_ok=True)
    private = signing.read(signing.key_file().read_text())
    (folder / f"{head.size:020}.checkpoint").write_text(note.sign(head.text, log.origin, private))


def test_a_machine_that_is_rolled_back_whole_is_refused_by_what_was_published(tmp_path, settings) -> None:
    settings.CHECKPOINT_DIR = str(tmp_path / "published")
    organization = factories.an_organization()
    some_events(organization.id, 3)
    sequence()
    log = only_log(organization.id)
    published(log, note.Head(log.origin, 3, bytes(newest(log).root)))
    some_events(organization.id, 2)
    sequence()
    published(log, note.Head(log.origin, 9, mth([bytes(32)] * 9)))  # what was kept beside the database knows of 5
    with pytest.raises(Refused, match="shorter than it was: 5 events, and 9 were signed"):
        sequence()
    call("accept_restored_record", "--reason", "The host was rolled back")
    sequence()
    assert Event.objects.get(kind="system:record:accept").data["reason"] == "The host was rolled back"
    assert len(order(log)) == 6
    some_events(organization.id, 6)
    sequence()
    published(log, note.Head(log.origin, 12, mth([bytes(32)] * 12)))  # what is published from then on counts again
    with pytest.raises(Refused, match="forked"):
        sequence()


def test_a_folder_of_checkpoints_that_is_out_of_reach_stops_nothing(tmp_path, settings) -> None:
    settings.CHECKPOINT_DIR = str(tmp_path / "file")
    (tmp_path / "file").write_text("no folder")
    some_events(ACME, 2)
    sequence()
    sequence()
    assert len(order(only_log())) == 2


def test_the_next_process_takes_over_within_seconds_of_a_kill(tmp_path) -> None:
    with Process(str(tmp_path)) as first:
        some_events(ACME)
        wait_for(lambda: Checkpoint.objects.count() == 1)
        with Process(str(tmp_path)) as second:
            wait_for(lambda: b"sequencer_waits" in second.log.read_bytes())
            first.kill()
            killed = time.monotonic()
            some_events(ACME)
            wait_for(lambda: Checkpoint.objects.count() == 2)
            assert time.monotonic() - killed < 5


def test_a_holder_that_is_frozen_or_out_of_reach_loses_its_place_and_can_write_nothing(monkeypatch) -> None:
    with monkeypatch.context() as hasty:
        hasty.setattr(sequencer, "OPTIONS", sequencer.OPTIONS.replace(str(sequencer.SILENT), "1000"))
        soon_ended = sequencer.connect()
    with soon_ended as frozen, sequencer.connect() as other:
        assert sequencer._lock(frozen)
        running = sequencer.Sequencer.start(frozen)
        while not sequencer._lock(other):
            time.sleep(0.1)
        some_events(ACME, 2)
        with pytest.raises(psycopg.OperationalError):
            running.turn()
        assert sequencer.Sequencer.start(other).turn() == 2
    assert len(order(only_log())) == 2


def call(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_it_says_since_when_events_wait_behind_a_slow_transaction() -> None:
    organization = factories.an_organization()
    with psycopg.connect(**conninfo()) as slow:
        slow.execute("SELECT pg_current_xact_id()")
        [event] = some_events(organization.id)
        with session() as running:
            running.turn()
            assert Sequencer.objects.get().waiting_since == event.at
            slow.rollback()
            running._beat = 0.0
            running.turn()
            assert Sequencer.objects.get().waiting_since is None
