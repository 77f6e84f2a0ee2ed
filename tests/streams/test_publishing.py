"""Checkpoints leave for a folder, a webhook and a time-stamp authority; what fails is shown and tried again."""

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from standardwebhooks import Webhook as Verifier

from audit.clock import database_now
from audit.log import Log
from notifications.alerts import measures
from notifications.models import Publication, TimeStamp
from notifications.publishing.publish import failing_for, publish_due
from notifications.transports import webhook
from tests import factories
from tests.audit.sequencing import sequence, some_events
from tests.audit.test_export import public_key, verify
from tests.notifications.conftest import Receiver
from tests.streams.authority import TimeStampAuthority, openssl
from warden import checks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tsa(tmp_path: Path, settings: Any) -> Iterator[TimeStampAuthority]:
    made = TimeStampAuthority(tmp_path / "tsa")
    settings.TIMESTAMP_URL, settings.TIMESTAMP_CA = made.url, str(made.root)
    yield made
    made.close()


def log_of(count: int = 3) -> Log:
    acme = factories.an_organization()
    some_events(acme.id, count)
    sequence()
    return Log.objects.get(organization_id=acme.id, mode="live")


def later() -> None:
    """A period passes."""
    Publication.objects.update(due_at=database_now() - timedelta(seconds=1))


def test_a_checkpoint_is_published_to_a_folder_once_a_period(tmp_path: Path, settings: Any) -> None:
    settings.CHECKPOINT_DIR = str(tmp_path / "published")
    log = log_of()
    folder = tmp_path / "published" / f"{log.organization_id}.live"
    assert [(each.size, each.error) for each in publish_due()] == [(3, "")]
    [file] = folder.iterdir()
    assert file.name == "00000000000000000003.checkpoint"
    assert file.read_text() == log.checkpoints.get(size=3).note
    some_events(log.organization_id, 2)
    sequence()
    assert publish_due() == []  # not yet
    later()
    publish_due()
    assert sorted(each.name for each in folder.iterdir())[1] == "00000000000000000005.checkpoint"
    later()
    assert publish_due() == []  # nothing new


def test_a_published_checkpoint_that_says_something_else_is_never_replaced(tmp_path: Path, settings: Any) -> None:
    settings.CHECKPOINT_DIR = str(tmp_path / "published")
    log = log_of()
    folder = tmp_path / "published" / f"{log.organization_id}.live"
    folder.mkdir(parents=True)
    (folder / "00000000000000000003.checkpoint").write_text("another")
    [done] = publish_due()
    assert "the log was forked" in done.error
    assert (folder / "00000000000000000003.checkpoint").read_text() == "another"
    row = Publication.objects.get()
    assert (row.size, row.attempts) == (0, 1)


def test_a_checkpoint_is_posted_signed(receiver: Receiver, settings: Any) -> None:
    settings.CHECKPOINT_WEBHOOK_URL, settings.CHECKPOINT_WEBHOOK_SECRET = receiver.url, webhook.new_secret()
    log = log_of()
    receiver.answers = [(500, {}, b"no")]
    assert [each.error for each in publish_due()] == ["The receiver answered 500."]
    assert publish_due() == []  # it waits
    later()
    publish_due()
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    said = Verifier(settings.CHECKPOINT_WEBHOOK_SECRET).verify(second.body, second.headers)
    assert said["data"]["note"] == log.checkpoints.get(size=3).note
    assert Publication.objects.get().error == ""


def test_an_authority_says_when_a_checkpoint_was_there_and_openssl_and_warden_verify_agree(
    tsa: TimeStampAuthority, tmp_path: Path
) -> None:
    log = log_of()
    before = database_now()
    assert [each.error for each in publish_due()] == [""]
    stamp = TimeStamp.objects.get()
    assert abs((stamp.at - before).total_seconds()) < 60
    note, reply = tmp_path / "note", tmp_path / "reply.tsr"
    note.write_text(log.checkpoints.get(size=3).note)
    reply.write_bytes(bytes(stamp.response))
    openssl("ts", "-verify", "-in", reply, "-data", note, "-CAfile", tsa.root)

    auditor = factories.a_member(factories.Organization.objects.get(pk=log.organization_id), "auditor")
    client = Client()
    client.force_login(auditor, backend="allauth.account.auth_backends.AuthenticationBackend")
    shown = client.get("/settings/streams/").content.decode()
    assert "/settings/streams/timestamps/live/3" in shown
    assert client.get("/settings/streams/timestamps/live/3").content == bytes(stamp.response)
    assert client.get("/audit/log/checkpoint/live/3").content.decode() == note.read_text()
    assert client.get("/settings/streams/timestamps/live/2").status_code == 404

    call_command("export_audit", "--output", str(tmp_path / "out"))
    words = (tmp_path / "out", "--public-key", public_key(tmp_path))
    code, said = verify(*words, "--timestamp-ca", tsa.root)
    assert code == 0, said
    assert (said["logs"][0]["timestamps"], said["logs"][0]["stamped"]["size"]) == (1, 3)

    other = TimeStampAuthority(tmp_path / "other")
    other.close()
    code, said = verify(*words, "--timestamp-ca", other.root)
    assert code == 1
    assert "the time-stamp of 3 is not to be believed" in said["logs"][0]["problem"]
    [file] = (tmp_path / "out").glob("*.live/timestamps.jsonl")
    kept = json.loads(file.read_text())
    file.write_text(json.dumps(kept | {"size": 2}) + "\n")
    code, said = verify(*words, "--timestamp-ca", tsa.root)
    assert code == 1
    assert "a time-stamp of 2 is of no checkpoint" in said["logs"][0]["problem"]


def test_an_answer_that_is_no_time_stamp_of_this_by_this_authority_is_refused(
    tsa: TimeStampAuthority, tmp_path: Path, settings: Any
) -> None:
    log_of()
    replayed = _a_stamp_of_something_else(tsa)
    tsa.answers = [(200, b"nonsense"), (200, replayed), (503, b"")]
    said = []
    for _ in range(3):
        said += [each.error for each in publish_due()]
        later()
    assert [text[:30] for text in said[:2]] == ["The authority's answer is not "] * 2
    assert said[2] == "The authority answered 503."
    other = TimeStampAuthority(tmp_path / "other")
    other.close()
    settings.TIMESTAMP_CA = str(other.root)
    assert "is not to be believed" in publish_due()[0].error
    assert not TimeStamp.objects.exists()


def _a_stamp_of_something_else(tsa: TimeStampAuthority) -> bytes:
    query = openssl("ts", "-query", "-digest", "00" * 32, "-sha256", "-cert", "-no_nonce")
    return tsa.stamp(query)


def test_what_cannot_be_published_is_shown_alerted_on_and_told_by_the_command(tmp_path: Path, settings: Any) -> None:
    (tmp_path / "file").write_text("no folder")
    settings.CHECKPOINT_DIR = str(tmp_path / "file")
    log = log_of()
    publish_due()
    now = database_now()
    assert failing_for(now) > 0
    assert failing_for(now, factories.an_organization().id) == 0
    alarm = measures.find("checkpoints_unpublished").read
    half_an_hour = timedelta(minutes=30)
    scope = measures.Scope(log.organization_id, "live", now + half_an_hour, half_an_hour)
    assert 29 < (alarm(scope) or 0) < 31
    admin = factories.a_member(factories.Organization.objects.get(pk=log.organization_id), "admin")
    client = Client()
    client.force_login(admin, backend="allauth.account.auth_backends.AuthenticationBackend")
    shown = client.get("/settings/streams/").content.decode()
    assert "Checkpoints, published" in shown
    assert "cannot be written" in shown
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("publish_checkpoints")
    settings.CHECKPOINT_DIR = str(tmp_path / "folder")
    out = StringIO()
    call_command("publish_checkpoints", "--json", stdout=out)
    assert {each["size"] for each in json.loads(out.getvalue())} >= {3}
    assert failing_for(database_now()) == 0
    settings.CHECKPOINT_DIR = ""
    with pytest.raises(CommandError, match="Nothing is set"):
        call_command("publish_checkpoints")


def test_a_start_without_what_makes_publishing_trustworthy_is_refused(settings: Any) -> None:
    settings.CHECKPOINT_WEBHOOK_URL, settings.TIMESTAMP_URL = "https://example.com", "http://tsa.example.com"
    assert [each.id for each in checks.publishing()] == ["warden.E013", "warden.E013"]
    for secret in ("secret", "whsec_!", "whsec_c2hvcnQ="):
        settings.CHECKPOINT_WEBHOOK_SECRET = secret
        assert len(checks.publishing()) == 2
    settings.CHECKPOINT_WEBHOOK_SECRET, settings.TIMESTAMP_CA = webhook.new_secret(), "/etc/tsa.pem"
    assert checks.publishing() == []
