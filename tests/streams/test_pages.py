"""Streams in the browser, by script and by command: made, tested, moved, paused, changed, deleted, by who may."""

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.by import COMMAND_LINE
from audit.ids import show_id
from audit.models import Event
from notifications import vault
from notifications.models import Stream
from notifications.streams import services
from tests.api.conftest import Api, a_token
from tests.approvals.conftest import Acme, enter, make_acme  # noqa: F401 - a fixture
from tests.audit.sequencing import sequence, some_events
from tests.hostile import TEXTS, problems
from tests.notifications.conftest import Receiver
from tests.streams.conftest import a_stream, position, stream_all
from tests.streams.rsyslog import Authority

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/settings/streams/"


@pytest.fixture
def acme() -> Acme:
    return make_acme()


def page_of(stream: Stream) -> str:
    return f"{PAGE}{show_id('str', stream.pk)}"


def run(name: str, *words: str) -> Any:
    out = StringIO()
    call_command(name, *words, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_an_admin_makes_a_webhook_stream_and_sees_its_secret_once(acme: Acme, enter: Any) -> None:  # noqa: F811
    client = enter(acme.admin)
    assert "No streams yet" in client.get(PAGE).content.decode()
    form = {"name": "SIEM", "address": "https://siem.example.com/in", "format": "ocsf", "everything": "no"}
    shown = client.post(f"{PAGE}new/webhook", form)
    assert "no-store" in shown["Cache-Control"]
    [secret] = set(re.findall(r"whsec_[A-Za-z0-9+/=]{40,}", shown.content.decode()))
    stream = Stream.objects.get()
    assert vault.unseal(stream.secret) == secret
    assert secret not in stream.secret
    for page in (PAGE, page_of(stream), f"{page_of(stream)}/edit", f"{page_of(stream)}/secret"):
        text = client.get(page).content.decode()
        assert "SIEM" in text
        assert "whsec_" not in text
    assert secret not in client.post(f"{page_of(stream)}/secret").content.decode()
    for event in Event.objects.all():
        assert "whsec_" not in event.body


def test_an_admin_makes_a_tls_stream_and_its_key_is_never_shown(acme: Acme, enter: Any, authority: Authority) -> None:  # noqa: F811
    client = enter(acme.admin)
    certificate, key = authority.issue("warden.example.com")
    form = {
        "name": "SIEM",
        "address": "logs.example.com:6514",
        "format": "json",
        "everything": "yes",
        "authority": authority.pem,
        "certificate": certificate,
        "key": key,
    }
    assert client.post(f"{PAGE}new/syslog_tls", form).status_code == 302
    stream = Stream.objects.get()
    assert vault.unseal(stream.secret).strip() == key.strip()
    changed = form | {"name": "Logs", "key": ""}
    assert client.post(f"{page_of(stream)}/edit", changed).status_code == 302
    stream.refresh_from_db()
    assert (stream.name, vault.unseal(stream.secret).strip()) == ("Logs", key.strip())
    secret = key.splitlines()[1]
    for page in (page_of(stream), f"{page_of(stream)}/edit"):
        assert secret not in client.get(page).content.decode()
    for event in Event.objects.all():
        assert secret not in event.body
    other, _ = authority.issue("warden.example.com")
    assert client.post(f"{page_of(stream)}/edit", form | {"certificate": other, "key": ""}).status_code == 422


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("webhook", {"address": "https://10.0.0.1/"}, "This address is private."),
        ("webhook", {"address": "ftp://example.com/"}, "The URL must start with"),
        ("syslog_tls", {"address": "10.0.0.1:6514"}, "This address is private."),
        ("syslog_tls", {"address": "169.254.169.254:6514"}, "never sent to"),
        ("syslog_tls", {"address": "logs.example.com"}, "Write host:port"),
        ("syslog_tls", {"authority": "no PEM"}, "This is no certificate in PEM"),
        ("syslog_tls", {"certificate": "no PEM"}, "do not belong together"),
        ("syslog_tcp", {"name": ""}, "This field is required."),
        ("syslog_tcp", {"format": "xml"}, "not one of the available choices"),
    ],
)
def test_what_makes_no_sense_is_said_and_what_was_typed_stays(
    acme: Acme,
    enter: Any,  # noqa: F811
    kind: str,
    change: dict[str, str],
    said: str,
) -> None:
    address = "https://siem.example.com/" if kind == "webhook" else "logs.example.com:6514"
    form = {"name": "Typed with care", "address": address, "format": "json", "everything": "yes"} | change
    answer = enter(acme.admin).post(f"{PAGE}new/{kind}", form)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert change.get("name", "Typed with care") in answer.content.decode()
    assert not Stream.objects.exists()


def test_two_streams_of_one_mode_are_not_called_the_same(acme: Acme) -> None:
    a_stream(acme.organization, address="https://siem.example.com/", name="SIEM")
    a_stream(acme.organization, address="https://siem.example.com/", name="SIEM", mode="test")
    with pytest.raises(Exception, match="There is a stream “SIEM” already"):
        a_stream(acme.organization, address="https://siem.example.com/", name="SIEM")


def test_auditors_see_streams_and_change_nothing_others_see_none(acme: Acme, enter: Any) -> None:  # noqa: F811
    stream, _ = a_stream(acme.organization, address="https://siem.example.com/", name="The SIEM")
    for person in (acme.owner, acme.admin, acme.auditor):
        assert "The SIEM" in enter(person).get(page_of(stream)).content.decode()
    actions = ("test", "switch", "move", "secret", "delete", "edit")
    refused = [enter(acme.auditor).post(f"{page_of(stream)}/{what}").status_code for what in actions]
    assert refused == [403] * 6
    assert "Pause" not in enter(acme.auditor).get(page_of(stream)).content.decode()
    for person in (acme.approver, acme.viewer):
        assert enter(person).get(PAGE).status_code == 403
    strangers = [(acme.stranger, "live"), (acme.admin, "test")]
    for person, mode in strangers:
        assert enter(person, mode).get(page_of(stream)).status_code == 404
        assert "The SIEM" not in enter(person, mode).get(PAGE).content.decode()
        assert [enter(person, mode).post(f"{page_of(stream)}/{what}").status_code for what in actions] == [404] * 6


def test_a_test_is_sent_and_its_answer_shown_and_recorded(acme: Acme, enter: Any, receiver: Receiver) -> None:  # noqa: F811
    stream, _ = a_stream(acme.organization, address=receiver.url)
    client = enter(acme.admin)
    shown = client.post(f"{page_of(stream)}/test", follow=True).content.decode()
    assert "The receiver answered 200 thanks" in shown
    assert json.loads(receiver.received[0].body)["test"] is True
    receiver.answers = [(401, {}, b"<b>who are you")]
    shown = client.post(f"{page_of(stream)}/test", follow=True).content.decode()
    assert "Not taken. 401 &lt;b&gt;who are you" in shown
    answers = [event.data["taken"] for event in Event.objects.filter(kind="person:stream:test").order_by("id")]
    assert answers == [True, False]
    assert position(stream)[0] == 0


def test_an_admin_pauses_resumes_and_begins_anew(acme: Acme, enter: Any, receiver: Receiver) -> None:  # noqa: F811
    stream, _ = a_stream(acme.organization, address=receiver.url)
    some_events(acme.organization.id, 5)
    sequence()
    stream_all(stream)
    client = enter(acme.admin)
    assert "Paused" in client.post(f"{page_of(stream)}/switch", {"to": "off"}, follow=True).content.decode()
    assert "Streaming" in client.post(f"{page_of(stream)}/switch", {"to": "on"}, follow=True).content.decode()
    wrong = client.post(f"{page_of(stream)}/move", {"log": "live", "index": "6"})
    assert wrong.status_code == 422
    assert "The log has 5 events: an index from 0 to 5." in wrong.content.decode()
    assert client.post(f"{page_of(stream)}/move", {"log": "test", "index": "0"}).status_code == 422
    shown = client.post(f"{page_of(stream)}/move", {"log": "live", "index": "2"}, follow=True).content.decode()
    assert "goes on from 2" in shown
    assert position(stream) == (2, 2)
    assert "had it begin at 2 of the live log; it was at 5" in shown


def test_a_failing_stream_is_said_to_be_and_hostile_words_stay_words(acme: Acme, enter: Any) -> None:  # noqa: F811
    for number, text in enumerate(TEXTS):
        stream, _ = a_stream(acme.organization, address="https://siem.example.com/", name=f"SIEM {number}")
        Stream.objects.filter(pk=stream.pk).update(
            address=text.replace("\0", "")[:200],
            error=text.replace("\0", "")[:400] or "x",
            failing_since=stream.created_at,
            attempts=2,
            retry_at=stream.created_at,
        )
        for page in (PAGE, page_of(stream), f"{page_of(stream)}/move", f"{page_of(stream)}/delete"):
            shown = enter(acme.admin).get(page).content.decode()
            assert problems(shown) == []
        assert "in 2 attempts" in enter(acme.admin).get(page_of(stream)).content.decode()


def test_by_command_a_stream_is_made_listed_moved_paused_and_deleted(acme: Acme, receiver: Receiver) -> None:
    slug = ("--organization", acme.organization.slug)
    some_events(acme.organization.id, 4)
    sequence()
    made = run("create_stream", "webhook", "SIEM", receiver.url, "--new-only", "--payloads", *slug)
    assert made["secret"].startswith("whsec_")
    [listed] = run("list_streams", "--mode", "live", *slug)
    assert "secret" not in listed
    assert [each["next_index"] for each in listed["positions"]] == [4, 0]
    assert (listed["payloads"], listed["format"]) == (True, "json")
    changed = run(
        "change_stream", "SIEM", "--begin-at", "live=1", "--format", "ocsf", "--payloads", "no", "--pause", *slug
    )
    assert (changed["is_paused"], changed["format"], changed["payloads"]) == (True, "ocsf", False)
    assert changed["positions"][0]["next_index"] == 1
    assert run("change_stream", made["id"], "--resume", "--new-secret", *slug)["secret"] != made["secret"]
    assert run("test_stream", "SIEM", *slug)["answer"] == "The receiver answered 200 thanks"
    receiver.answers = [(500, {}, b"no")]
    with pytest.raises(CommandError, match="500 no"):
        run("test_stream", "SIEM", *slug)
    with pytest.raises(CommandError, match="index: The log has 4 events"):
        run("change_stream", "SIEM", "--name", "Other", "--begin-at", "live=9", *slug)
    assert Stream.objects.get().name == "SIEM"  # all of it, or nothing
    run("delete_stream", "SIEM", *slug)
    with pytest.raises(CommandError, match="There is no stream SIEM"):
        run("test_stream", "SIEM", *slug)


def test_by_script_a_stream_is_made_changed_moved_tested_and_deleted(acme: Acme, receiver: Receiver) -> None:
    owner, auditor, stranger = (Api(a_token(person), person) for person in (acme.owner, acme.auditor, acme.stranger))
    body = {"kind": "webhook", "name": "SIEM", "address": receiver.url}
    made = owner("POST", "streams", body, 201)
    assert made["secret"].startswith("whsec_")
    where = f"streams/{made['stream']['id']}"
    assert auditor("GET", where, status=200) == auditor("GET", "streams", status=200)[0]
    assert auditor("GET", "streams?mode=test", status=200) == []
    assert auditor("PUT", where, {"name": "Mine"})[0] == 403
    assert stranger("GET", where)[0] == 404
    some_events(acme.organization.id, 3)
    sequence()
    changed = owner("PUT", where, {"format": "ocsf", "is_paused": True}, 200)
    assert changed["paused_at"]
    assert owner("PUT", where, {"is_paused": False}, 200)["paused_at"] is None
    moved = owner("POST", f"{where}/move", {"log": "live", "index": 2}, 200)
    assert moved["positions"][0]["next_index"] == 2
    assert "index" in owner("POST", f"{where}/move", {"log": "live", "index": 9}, 422)["detail"]
    assert owner("POST", f"{where}/test", status=200) == {"taken": True, "answer": "The receiver answered 200 thanks"}
    assert owner("POST", f"{where}/rotate-secret", status=200)["secret"] != made["secret"]
    assert "address" in owner("POST", "streams", body | {"name": "x", "address": "https://10.0.0.1/"}, 422)["detail"]
    owner("DELETE", where, status=204)
    kinds = Event.objects.filter(kind__startswith="person:stream:").order_by("id").values_list("kind", flat=True)
    verbs = [kind.rpartition(":")[2] for kind in kinds]
    assert verbs == ["create", "change", "pause", "resume", "move", "test", "rotate", "delete"]


def test_who_lost_the_role_changes_no_stream_any_more(acme: Acme) -> None:
    stream, _ = a_stream(acme.organization, address="https://siem.example.com/")
    member = acme.organization.memberships.get(user=acme.admin)
    acme.organization.memberships.filter(pk=member.pk).update(role="viewer")
    for verb in (services.pause, services.delete, services.test, services.rotate_secret):
        with pytest.raises(Exception, match="does not include"):
            verb(stream=stream, by=member)
    services.pause(stream=stream, by=COMMAND_LINE)
    assert Stream.objects.get().paused_at


def test_by_command_certificates_come_from_files(acme: Acme, authority: Authority, tmp_path: Path) -> None:
    slug = ("--organization", acme.organization.slug)
    words = ("create_stream", "syslog_tls", "SIEM", "logs.example.com:6514", *slug, "--authority")
    with pytest.raises(CommandError, match="cannot be read"):
        run(*words, str(tmp_path / "nowhere.pem"))
    run(*words, str(authority.file))
    assert Stream.objects.get().authority == authority.pem.strip()
    run("change_stream", "SIEM", "--authority", "", *slug)
    assert Stream.objects.get().authority == ""
