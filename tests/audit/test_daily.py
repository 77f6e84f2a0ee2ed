"""The record reads itself once a day, beside the sequencer."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from audit import sequencer
from audit.clock import database_now
from audit.daily import Daily
from audit.log import Log, Verification
from tests import factories, server
from tests.audit.sequencing import sequence, some_events, tamper, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def daily(tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daily]:
    settings.WARDEN_HOME = tmp_path
    monkeypatch.setenv("WARDEN_HOME", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", server.test_database_url())
    some_events(factories.an_organization().id, 3)
    sequence()
    work = Daily()
    yield work
    work.stop()


def begins(daily: Daily) -> bool:
    with sequencer.connect() as own:
        return daily.start(own)


def a_day_passes() -> None:
    tamper("UPDATE audit_checkpoint SET at = at - interval '25 hours'")
    tamper("UPDATE audit_verification SET at = at - interval '25 hours'")


def test_nothing_is_read_again_before_a_day_has_passed(daily: Daily) -> None:
    assert not begins(daily)
    a_day_passes()
    Verification.objects.create(log=Log.objects.get(mode="live"), at=database_now(), size=3)
    assert not begins(daily)


def test_a_day_later_every_log_is_read_once(daily: Daily) -> None:
    a_day_passes()
    assert begins(daily)
    assert not begins(daily), "one is at work"
    wait_for(lambda: Verification.objects.count() == Log.objects.count())
    assert {each.problem for each in Verification.objects.all()} == {""}
    assert Verification.objects.get(log__mode="live").at > database_now() - dt.timedelta(minutes=5)


def test_who_ends_the_sequencer_ends_its_work(daily: Daily) -> None:
    a_day_passes()
    with psycopg.connect(server.test_database_url()) as other:
        other.execute("LOCK audit_verification IN SHARE MODE")
        assert begins(daily)
        process = daily._process
        assert process
        daily.stop()
        assert process.poll() is not None
