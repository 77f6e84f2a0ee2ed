"""The audit page, an event's page and the export, for those who may read the record and those who may not."""

import hashlib
import json
import re

import httpx
import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from accounts.models import Membership
from audit.ids import new_id, show_id
from audit.leaf import Actor, leaf_hash
from audit.models import Event
from audit.record import record
from tests.factories import a_member, a_person, an_organization

HOSTILE = "<script>alert(1)</script>\u202egnp.exe\u200b"
pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return an_organization("Acme")


@pytest.fixture
def auditor(acme):
    return a_member(acme, "auditor")


def enter(person) -> Client:
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def write(organization, kind="agent:check:deny", **fields) -> Event:
    actor = fields.pop("actor", Actor("agent", "k", "support-bot"))
    fields = {"mode": "live", "agent": "support-bot", "action": "stripe.refund.small", "result": "deny"} | fields
    with transaction.atomic():
        return record(kind=kind, organization_id=organization.id, actor=actor, **fields)


@pytest.mark.parametrize("role", ["owner", "admin", "auditor", "approver"])
def test_who_may_read_the_record_sees_it(acme, role):
    event = write(acme, data={"reason": "Agent is suspended"})
    page = enter(a_member(acme, role)).get(reverse("audit:list"))
    assert page.status_code == 200
    assert event.event_id in page.content.decode()
    assert "was refused" in page.content.decode()


def test_a_viewer_gets_the_page_that_says_why_not(acme):
    event, client = write(acme), enter(a_member(acme, "viewer"))
    for address in (
        reverse("audit:list"),
        reverse("audit:detail", args=[event.event_id]),
        reverse("audit:body", args=[event.event_id]),
    ):
        answer = client.get(address)
        assert answer.status_code == 403
        assert "does not include the record" in answer.content.decode()
    assert client.post(reverse("audit:export")).status_code == 403
    assert not Event.objects.filter(kind="person:record:export").exists()


def test_a_stranger_and_a_visitor_get_nothing(acme):
    event = write(acme)
    stranger = a_member(an_organization(), "owner")
    assert enter(stranger).get(reverse("audit:detail", args=[event.event_id])).status_code == 404
    assert event.event_id not in enter(stranger).get(reverse("audit:list")).content.decode()
    assert Client().get(reverse("audit:list")).status_code == 302
    assert enter(a_person()).get(reverse("audit:list")).status_code == 302


def test_an_event_shows_its_exact_bytes_and_that_they_hold(acme, auditor):
    event = write(acme, data={"context": {"note": "Grüße"}})
    client = enter(auditor)
    page = client.get(reverse("audit:detail", args=[event.event_id])).content.decode()
    assert "This event is what was recorded" in page
    assert bytes(event.leaf).hex() in page
    file = client.get(reverse("audit:body", args=[event.event_id]))
    assert file.content == event.body.encode()
    assert file["Content-Disposition"] == f'attachment; filename="{event.event_id}.json"'
    assert hashlib.sha256(b"\0" + file.content).digest() == bytes(event.leaf)


@pytest.mark.parametrize("prefix", ["dec", "log", "evt"])
def test_an_event_is_found_by_each_of_its_names(acme, auditor, prefix):
    event = write(acme)
    client = enter(auditor)
    assert client.get(reverse("audit:detail", args=[show_id(prefix, event.id)])).status_code == 200
    assert event.event_id in client.get(reverse("audit:list"), {"target": show_id(prefix, event.id)}).content.decode()
    assert event.event_id in client.get(reverse("audit:list"), {"target": str(event.id)}).content.decode()


@pytest.mark.parametrize("evt_id", ["evt_0", "apr_" + "0" * 26, show_id("evt", new_id()), "x", "évt"], ids=range(5))
def test_what_is_no_event_is_not_found(acme, auditor, evt_id):
    assert enter(auditor).get(reverse("audit:detail", args=[evt_id])).status_code == 404


def test_a_changed_row_is_told_on_its_page_and_breaks_no_list(acme, auditor):
    bodies = ["[]", "{", '{"data":5}', "[" * 100_000, '{"data":{"context":{"amount":1}},"v":1}']
    events = [write(acme) for _ in bodies]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_event_append_only")
        for event, body in zip(events, bodies, strict=True):
            cursor.execute("UPDATE audit_event SET body = %s WHERE id = %s", [body, event.id])
        cursor.execute("UPDATE audit_event SET leaf = %s WHERE id = %s", [leaf_hash(bodies[-1]), events[-1].id])
    client = enter(auditor)
    assert client.get(reverse("audit:list")).status_code == 200
    for event in events:
        page = client.get(reverse("audit:detail", args=[event.event_id])).content.decode()
        assert "This event is not what was recorded" in page
        assert "This event is what was recorded" not in page
    assert "These columns say something else than the body: id, at, organization" in page


def test_hostile_text_is_drawn_and_never_markup(acme, auditor):
    event = write(
        acme,
        agent=HOSTILE,
        action=HOSTILE,
        target="t" + HOSTILE[:50],
        result="x",
        actor=Actor("agent", "k", HOSTILE),
        data={"reason": HOSTILE, "context": {HOSTILE: HOSTILE}},
    )
    client = enter(auditor)
    for page in (
        client.get(reverse("audit:list")),
        client.get(reverse("audit:list"), {"result": HOSTILE[:32], "action": HOSTILE}),
        client.get(reverse("audit:detail", args=[event.event_id])),
    ):
        text = page.content.decode()
        assert "<script>alert" not in text
        assert "\u202e" not in re.sub(r'value="[^"]*"', "", text)
        assert page.status_code == 200
    assert "⟨U+202E⟩" in text


def test_test_mode_shows_test_and_what_concerns_both(acme, auditor):
    live, test = write(acme), write(acme, mode="test")
    both = write(
        acme, "person:member:add", mode="", actor=Actor("person", "", "a@b"), data={"email": "c@d", "role": "viewer"}
    )
    client = enter(auditor)
    session = client.session
    session["mode"] = "test"
    session.save()
    page = client.get(reverse("audit:list")).content.decode()
    assert test.event_id in page
    assert both.event_id in page
    assert live.event_id not in page
    assert client.get(reverse("audit:detail", args=[live.event_id])).status_code == 404


def test_filters_that_are_not_valid_say_so(acme, auditor):
    client = enter(auditor)
    write(acme)
    page = client.get(reverse("audit:list"), {"since": "yesterday"}).content.decode()
    assert "Enter a valid date/time" in page
    page = client.get(
        reverse("audit:list"), {"since": "2026-01-02T00:00", "until": "2026-01-01T00:00"}
    ).content.decode()
    assert "This is before the other end" in page
    assert "Null characters" in client.get(reverse("audit:list"), {"action": "a\x00b"}).content.decode()
    for odd in ({"after": "x"}, {"before": "evt_" + "0" * 26}, {"page": "9"}, {"target": "x" * 80}, {"kind": ":::"}):
        assert client.get(reverse("audit:list"), odd).status_code == 200


def test_nothing_yet_and_no_match_look_different(acme):
    person = a_person()
    client = enter(person)  # before there is an organization that could record it
    Membership.objects.create(organization=acme, user=person, role="auditor")
    assert "Nothing is recorded yet" in client.get(reverse("audit:list")).content.decode()
    write(acme)
    page = client.get(reverse("audit:list"), {"action": "nothing.such"}).content.decode()
    assert "No event matches" in page
    assert "Nothing is recorded yet" not in page


def test_the_export_holds_what_the_filters_find_byte_for_byte_and_is_itself_recorded(acme, auditor):
    events = [write(acme, action="a.b", data={"n": number, "t": "é"}) for number in range(7)]
    write(acme, action="c.d")
    write(an_organization())
    answer = enter(auditor).post(reverse("audit:export"), {"action": "a.b", "page": "9"})
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/jsonl"
    lines = b"".join(answer.streaming_content).decode().splitlines()
    line = '{{"index":null,"leaf":"{}","log":"live","event":{}}}'  # nothing put them in order here
    assert lines == [line.format(bytes(event.leaf).hex(), event.body) for event in reversed(events)]
    assert all(json.loads(line)["event"]["action"] == "a.b" for line in lines)
    told = Event.objects.get(kind="person:record:export")
    assert told.actor == auditor.email
    assert told.data == {"filters": {"action": "a.b"}}


def test_an_export_of_filters_that_are_not_valid_is_refused(acme, auditor):
    assert enter(auditor).post(reverse("audit:export"), {"since": "x"}).status_code == 400
    assert enter(auditor).get(reverse("audit:export")).status_code == 405
    assert not Event.objects.filter(kind="person:record:export").exists()


@pytest.mark.django_db(transaction=True)
def test_the_server_streams_the_export(server, acme, auditor):
    """Under ASGI too, where Django would otherwise collect the whole of it first."""
    events = [write(acme, data={"n": number}) for number in range(1_203)]
    client = enter(auditor)
    with httpx.Client(
        base_url=server.url, cookies={name: morsel.value for name, morsel in client.cookies.items()}
    ) as http:
        page = http.get("/audit/")
        assert page.status_code == 200
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
        with http.stream(
            "POST", "/audit/export", data={"csrfmiddlewaretoken": token, "agent": "support-bot"}
        ) as answer:
            assert answer.status_code == 200
            assert "content-length" not in answer.headers
            lines = list(answer.iter_lines())
    assert len(lines) == len(events)
