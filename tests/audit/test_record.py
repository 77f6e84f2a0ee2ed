"""One transaction holds a change and its event, and the database refuses to touch what was written."""

import hashlib
import uuid
from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, connection, transaction

from audit.check import verify_row
from audit.leaf import SYSTEM, Actor, Entry, leaf_hash, row
from audit.models import Event
from audit.record import record, record_all

ANN = Actor("person", "0199", "ann@example.com")


def an_event(**fields: object) -> Event:
    return record(**{"kind": "person:rule:create", "organization_id": uuid.uuid4(), "actor": ANN} | fields)  # type: ignore[arg-type]


@pytest.mark.django_db(transaction=True)
def test_recording_outside_a_transaction_is_refused():
    with pytest.raises(RuntimeError, match="outside a transaction"):
        an_event()
    with pytest.raises(RuntimeError, match="outside a transaction"):
        record_all([], at=None)  # type: ignore[arg-type]


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_change_leaves_no_event():
    def change() -> None:
        with transaction.atomic():
            an_event()
            raise KeyError

    with pytest.raises(KeyError):
        change()
    assert not Event.objects.exists()
    with transaction.atomic():
        an_event()
    assert Event.objects.count() == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET body = '{}'",
        "UPDATE audit_event SET at = at",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
        "TRUNCATE audit_event CASCADE",
    ],
)
def test_the_database_refuses_to_change_an_event_even_for_the_owner_of_the_table(db, statement):
    event = an_event()
    with connection.cursor() as cursor:
        # tests/conftest.py switches this one off, to empty tables between tests.
        cursor.execute("ALTER TABLE audit_event ENABLE TRIGGER audit_event_no_truncate")
        cursor.execute("SELECT tableowner = current_user FROM pg_tables WHERE tablename = 'audit_event'")
        assert cursor.fetchone() == (True,)
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute(statement)
    assert Event.objects.get() == event


def test_an_event_cannot_be_changed_through_the_orm(db):
    event = an_event()
    event.result = "allow"
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        event.save()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        event.delete()


def test_an_event_is_what_its_leaf_says(db):
    event = an_event(
        mode="test",
        agent="bot",
        action="a.b",
        target="apr_X",
        result="allow",
        data={"amount": "1.50", "note": "é\u202e"},
    )
    event.refresh_from_db()
    assert bytes(event.leaf) == hashlib.sha256(b"\x00" + event.body.encode()).digest()
    checked = verify_row(event)
    assert checked.holds
    assert checked.leaf == bytes(event.leaf).hex()


def test_every_column_is_held_to_the_body(db):
    changes = {
        "kind": "person:rule:delete",
        "mode": "live",
        "result": "deny",
        "actor_type": "system",
        "actor_id": "1",
        "actor": "bob@example.com",
        "agent": "other",
        "action": "c.d",
        "target": "apr_Y",
        "organization_id": uuid.uuid4(),
        "id": uuid.uuid4(),
    }
    for column, value in changes.items():
        event = an_event()
        setattr(event, column, value)
        checked = verify_row(event)
        assert checked.leaf_matches
        assert not checked.holds, column
        assert len(checked.differs) == 1, column


def test_another_body_does_not_match_the_leaf(db):
    event = an_event(data={"amount": 1})
    event.body = event.body.replace('"amount":1', '"amount":2')
    assert not verify_row(event).leaf_matches
    event.leaf = leaf_hash(event.body)
    assert verify_row(event).holds  # whoever can write both can lie: hence the tree and its signed checkpoints
    event.body = event.body.replace(":2", ": 2")
    event.leaf = leaf_hash(event.body)
    assert verify_row(event).is_canonical is False
    event.body = "[" * 100_000
    event.leaf = leaf_hash(event.body)
    assert verify_row(event).holds is False


def test_data_that_is_not_json_is_refused(db):
    for data in ({"x": float("nan")}, {"x": 2**60}, {"x": "\ud800"}, {"x": object()}):
        with pytest.raises((ValueError, TypeError)):
            an_event(data=data)
    assert not Event.objects.exists()


def test_leaf_vectors():
    """Fixed for ever: an export made today must verify in ten years."""
    assert leaf_hash("").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"  # RFC 6962, 2.1.3
    entry = Entry(
        kind="agent:check:allow",
        organization_id=uuid.UUID("019a0000-0000-7000-8000-00000000000a"),
        mode="live",
        actor=Actor("agent", "019a0000-0000-7000-8000-00000000000b", "support-bot"),
        agent="support-bot",
        action="stripe.refund.small",
        result="allow",
        data={"context": {"amount": 49.5, "currency": "USD", "note": "Grüße"}},
        id=uuid.UUID("019a0000-0000-7000-8000-00000000000c"),
    )
    made = row(entry, datetime(2026, 1, 2, 3, 4, 5, 6, UTC))
    assert made.body == (
        '{"action":"stripe.refund.small","actor":{"id":"019a0000-0000-7000-8000-00000000000b","label":"support-bot",'
        '"type":"agent"},"agent":"support-bot","at":"2026-01-02T03:04:05.000006Z","data":{"context":{"amount":49.5,'
        '"currency":"USD","note":"Grüße"}},"id":"evt_01K8000000E00800000000000C","kind":"agent:check:allow",'
        '"mode":"live","organization":"019a0000-0000-7000-8000-00000000000a","result":"allow","target":"","v":1}'
    )
    assert made.leaf.hex() == "febc9cca9b62f8e2e722780b2d64c48a7b76184f499d1f69160bbe834faca332"


def test_the_system_records_too(db):
    assert an_event(actor=SYSTEM, kind="system:approval:expired").actor == "Warden"
