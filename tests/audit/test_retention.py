"""What is old is let go for each organization by itself, and everything that is kept is proved as before."""

import datetime as dt
import importlib
import io
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agentwarden.verify import verify_export
from agentwarden.verify._notes import read_keys
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from accounts.models import Organization
from audit import bundle, note, partitions, proofs, retention, sequencer, signing
from audit.clock import database_now
from audit.leaf import SYSTEM, Actor, Entry
from audit.log import Leaf, Log, SigningKey
from audit.models import Event
from audit.record import record_all
from audit.verify import verify_all
from tests import factories
from tests.audit.sequencing import sequence, some_events, tamper
from warden import retaining

pytestmark = pytest.mark.django_db(transaction=True)
OLD = dt.datetime(2019, 3, 7, 12, tzinfo=dt.UTC)
MONTH = "audit_event_2019_03"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> Iterator[None]:
    """A month of long ago, and a folder for the key of this test alone."""
    settings.WARDEN_HOME = tmp_path
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_add_partition('2019-03-01')")
    yield
    tamper(f"DROP TABLE IF EXISTS {MONTH}")


def old_events(organization: Organization, count: int) -> list[Event]:
    entries = [
        Entry(
            kind="agent:check:allow",
            organization_id=organization.id,
            mode="live",
            actor=Actor("agent", "", "bot"),
            data={"number": number},
        )
        for number in range(count)
    ]
    with transaction.atomic():
        record_all(entries, at=OLD)
    sequence()
    return list(Event.objects.filter(id__in=[entry.id for entry in entries]))


def a_keeper(**fields: Any) -> Organization:
    """An organization with five events of long ago, and four of now."""
    organization = factories.an_organization(**fields)
    old_events(organization, 5)
    some_events(organization.id, 4)
    sequence()
    return organization


def let_go() -> retaining.Outcome:
    """As on two days: first it is said and put in order, then done."""
    retaining.apply(patience=0)
    sequence()
    return retaining.apply(patience=0)


def log_of(organization: Organization) -> Log:
    return Log.objects.get(organization_id=organization.id, mode="live")


def exported(tmp_path: Path, *logs: Log) -> list[dict[str, Any]]:
    """What warden-verify says of an export."""
    folder = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
    bundle.write(folder, list(logs))
    keys = "".join(
        f"{note.verifier_key(f'{signing.site()}/keys', bytes(key.public))}\n" for key in SigningKey.objects.all()
    )
    return verify_export(folder, read_keys(keys))


def months() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_event'::regclass")
        return {name for (name,) in cursor.fetchall()}


def test_a_month_that_nobody_keeps_goes_as_a_whole_and_the_rest_is_proved_as_before(tmp_path: Path) -> None:
    acme, globex = a_keeper(), a_keeper()
    assert {each.events for each in retaining.due()} == {5}
    outcome = let_go()
    assert (outcome.events, outcome.months) == (0, [MONTH])
    assert MONTH not in months()
    for each in (acme, globex):
        assert log_of(each).first == 5
        assert Event.objects.filter(organization_id=each.id, mode="live").count() == 4 + 1
        assert Leaf.objects.filter(log=log_of(each)).count() == 5 + 4 + 1, "their places stay"
    assert {each.problem for each in verify_all()} == {""}
    for found in exported(tmp_path, log_of(acme), log_of(globex)):
        assert (found["problem"], found["first"], found["kept_from"], found["size"]) == (None, 5, 5, 10)
    youngest = Event.objects.filter(organization_id=acme.id).latest("at")
    assert proofs.of_event(youngest.id) is not None
    assert retaining.due() == []


def test_one_organization_lets_go_and_another_keeps_the_same_month(tmp_path: Path) -> None:
    acme, globex = a_keeper(retention_months=6), a_keeper(retention_months=1_200)
    outcome = let_go()
    assert (outcome.events, outcome.months) == (5, [])
    assert Event.objects.filter(organization_id=acme.id, at=OLD).count() == 0
    assert Event.objects.filter(organization_id=globex.id, at=OLD).count() == 5
    assert log_of(globex).first == 0
    assert {each.problem for each in verify_all()} == {""}
    assert [each["problem"] for each in exported(tmp_path, log_of(acme), log_of(globex))] == [None, None]


def test_a_month_without_a_partition_is_kept_proved_and_let_go_as_any_other(tmp_path: Path) -> None:
    tamper(f"DROP TABLE {MONTH}")
    acme = a_keeper()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {retention.DEFAULT}")
        assert cursor.fetchone() == (5,)
    old = Event.objects.filter(organization_id=acme.id, at=OLD)[0]
    found = proofs.of_event(old.id)
    assert found is not None
    assert [each["problem"] for each in exported(tmp_path, log_of(acme))] == [None]
    outcome = let_go()
    assert (outcome.events, outcome.months) == (5, [])
    assert [each["problem"] for each in exported(tmp_path, log_of(acme))] == [None]
    assert {each.problem for each in verify_all()} == {""}


def test_months_are_made_three_ahead() -> None:
    now = database_now()
    ahead = {f"audit_event_{now.year + (now.month - 1 + n) // 12}_{(now.month - 1 + n) % 12 + 1:02}" for n in range(4)}
    assert ahead <= months()
    furthest = max(ahead)
    tamper(f"DROP TABLE {furthest}")
    make(furthest)


def make(month: str) -> None:
    """As the sequencer makes it; and as the tests have them, to be emptied."""
    with sequencer.connect() as own:
        partitions.make_ahead(own)
    assert month in months()
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {month} DISABLE TRIGGER audit_event_no_truncate")


def test_a_month_that_cannot_be_made_keeps_nobody_from_a_new_version() -> None:
    furthest = max(months() - {retention.DEFAULT})
    tamper(f"DROP TABLE {furthest}")
    entry = Entry(kind="system:test", organization_id=uuid.uuid4(), mode="live", actor=SYSTEM)
    with transaction.atomic():  # by a clock that was wrong, say: into the partition of what has none
        record_all([entry], at=dt.datetime.strptime(furthest[-7:], "%Y_%m").replace(day=2, tzinfo=dt.UTC))
    migration = importlib.import_module("audit.migrations.0010_months_ahead")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(migration.AHEAD)
    assert furthest not in months()
    tamper(f"DELETE FROM {retention.DEFAULT}")
    make(furthest)


def test_under_a_legal_hold_nothing_goes() -> None:
    acme = a_keeper(legal_hold=True)
    assert retaining.due() == []
    assert let_go().months == []
    assert Event.objects.filter(organization_id=acme.id, at=OLD).count() == 5


def test_nothing_goes_before_the_record_says_so_in_its_order() -> None:
    acme = a_keeper()
    outcome = retaining.apply(patience=0)
    assert ([each.events for each in outcome.waiting], outcome.gone, outcome.months) == ([5], [], [])
    assert log_of(acme).first == 0
    retaining.apply(patience=0)
    assert Event.objects.filter(kind=retention.KIND).count() == 1, "it is said once"


def test_what_is_missing_without_the_record_saying_so_is_found(tmp_path: Path) -> None:
    acme = a_keeper()
    tamper(f"DELETE FROM {MONTH}")
    tamper("UPDATE audit_log SET first = 5")
    [found] = exported(tmp_path, log_of(acme))
    assert "does not say that its time was over" in found["problem"]


def test_more_than_was_said_is_found(tmp_path: Path) -> None:
    acme = a_keeper()
    let_go()
    youngest = Leaf.objects.get(log=log_of(acme), index=6)
    tamper("DELETE FROM audit_event WHERE id = %s", youngest.event_id)
    assert {each.index for each in verify_all() if each.problem} == {6}
    assert exported(tmp_path, log_of(acme))[0]["index"] == 6
    tamper("UPDATE audit_log SET first = 7")
    assert exported(tmp_path, log_of(acme))[0]["problem"]


def test_the_database_refuses_what_is_younger_than_half_a_year_or_was_not_asked_for() -> None:
    acme = a_keeper()
    young, old = Event.objects.filter(organization_id=acme.id).latest("at"), Event.objects.filter(at=OLD)[0]
    for switch, event in (("on", young), ("off", old)):
        with pytest.raises(IntegrityError, match="append-only"):
            delete(event, switch)
    delete(old, "on")


@transaction.atomic
def delete(event: Event, switch: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('warden.retention', %s, true)", [switch])
        cursor.execute("DELETE FROM audit_event WHERE id = %s", [event.id])


def test_a_script_asks_first_what_would_go() -> None:
    acme = a_keeper()
    out = io.StringIO()
    call_command("apply_retention", "--dry-run", "--json", stdout=out)
    said = json.loads(out.getvalue())
    assert said["dry_run"] is True
    assert [(each["origin"], each["events"], each["first"]) for each in said["logs"]] == [(log_of(acme).origin, 5, 5)]
    assert not Event.objects.filter(kind=retention.KIND).exists()
    assert Event.objects.filter(at=OLD).count() == 5
