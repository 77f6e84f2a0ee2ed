"""An export is checked by warden-verify, which knows nothing of the server."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from agentwarden.verify import verify_export
from agentwarden.verify._notes import read_keys
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from audit import bundle, note, signing
from audit.log import Log, SigningKey
from tests import factories
from tests.audit.sequencing import sequence, session, some_events

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_a_checkpoint_from_before_an_export_begins_is_compared_too_or_it_does_not_hold(tmp_path) -> None:
    acme = factories.an_organization()
    for count in (5, 8, 4):
        events = some_events(acme.id, count)
        sequence()
    log = Log.objects.get()
    private = signing.read(signing.key_file().read_text())
    mine, key = tmp_path / "mine.note", public_key(tmp_path)
    since = events[0].at.isoformat()

    def export(name: str, *words: object) -> tuple[int, Any]:
        call_command("export_audit", "--output", str(tmp_path / name), "--since", since, *map(str, words))
        code, said = verify(tmp_path / name, "--public-key", key, "--checkpoint", mine)
        assert said["logs"][0].get("first", 13) == 13
        return code, said["logs"][0]["problem"]

    mine.write_text(log.checkpoints.get(size=5).note)
    code, problem = export("without")
    assert code == 1
    assert "nothing shows that what begins at 13 goes on from it" in problem
    assert export("with", "--checkpoint", mine) == (0, None)
    mine.write_text(note.sign(note.Head(log.origin, 5, bytes(32)).text, log.origin, private))
    code, problem = export("forged", "--checkpoint", mine)
    assert code == 1
    assert "checkpoint of 5 does not hold" in problem

    mine.write_text(log.checkpoints.get(size=13).note)  # the last one before it begins
    assert export("right before") == (0, None)
    mine.write_text(note.sign(note.Head(log.origin, 13, bytes(32)).text, log.origin, private))
    assert export("right before, forged")[0] == 1
    mine.write_text("no checkpoint")
    with pytest.raises(CommandError, match=r"mine\.note is no checkpoint"):
        export("nonsense", "--checkpoint", mine)
    mine.write_text(note.sign(note.Head("elsewhere/log", 5, bytes(32)).text, "elsewhere/log", private))
    with pytest.raises(CommandError, match="has a checkpoint of elsewhere/log"):
        export("elsewhere", "--checkpoint", mine)
    with pytest.raises(CommandError, match="goes with --format warden"):
        export("ocsf", "--checkpoint", mine, "--format", "ocsf")


def test_an_export_holds_however_busy_the_record_is_meanwhile(tmp_path) -> None:
    acme = factories.an_organization()
    some_events(acme.id, 3)
    sequence()
    log, trusted, ended = Log.objects.get(), read_keys(public_key(tmp_path).read_text()), threading.Event()

    def be_busy() -> None:
        with session() as running:
            while not ended.is_set():
                some_events(acme.id)
                running.turn()
        connection.close()

    busy = threading.Thread(target=be_busy)
    busy.start()
    try:
        for number in range(15):
            bundle.write(tmp_path / f"out{number}", [log])
            assert verify_export(tmp_path / f"out{number}", trusted)[0]["problem"] is None
    finally:
        ended.set()
        busy.join()


def test_an_export_is_nobody_elses_to_read(tmp_path) -> None:
    some_events(factories.an_organization().id)
    sequence()
    for words in ([], ["--format", "ocsf"]):
        folder = tmp_path / f"out{len(words)}"
        call_command("export_audit", "--output", str(folder), *words)
        assert folder.stat().st_mode & 0o777 == 0o700


def test_what_is_no_export_or_no_key_is_said(tmp_path) -> None:
    (tmp_path / "key").write_text("nonsense")
    assert verify(tmp_path, "--public-key", tmp_path / "key")[0] == 2
    (tmp_path / "key").write_text(note.encode(bytes(32)))
    assert verify(tmp_path, "--public-key", tmp_path / "key")[0] == 2
