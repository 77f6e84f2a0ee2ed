"""Events as OCSF, held against its published schema: 1.5.0, which they name, and 1.8.0, the newest packaged."""

import json
import uuid
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from audit import ocsf
from audit.leaf import SYSTEM, Actor, Entry, row
from audit.log import Log
from audit.sentences import SENTENCES
from audit.sequenced import Sequenced, json_line
from tests import factories
from tests.audit.sequencing import sequence, some_events

AT = datetime(2027, 1, 2, 3, 4, 5, 678_901, UTC)
ACME = uuid.UUID(int=1)
ANN = Actor("person", str(uuid.UUID(int=2)), "ann@example.com")
BOT = Actor("agent", str(uuid.UUID(int=3)), "support-bot")
DATA = {
    "email": "bob@example.com",
    "reason": "said by the agent",
    "context": {"card": "plugh"},
    "caller": "spiffe://example.com/agent/support",
    "callee": "spiffe://example.com/agent/payments",
    "permission": "stripe.refund.small",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
}


@cache
def validator(version: str, class_uid: int, profiles: tuple[str, ...]) -> Draft202012Validator:
    schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(version))
    name = schemas.lookup_class_name_from_uid(class_uid)
    return Draft202012Validator(schemas.get_class_schema(name, list(profiles)))


def check(event: dict) -> None:
    """Raises where it is not what the schema says, in either version."""
    profiles = tuple(event["metadata"].get("profiles", ()))
    for version in (ocsf.VERSION, "1.8.0"):
        problems = [
            f"{error.json_path}: {error.message}"
            for error in validator(version, event["class_uid"], profiles).iter_errors(event)
        ]
        assert problems == [], (version, event)
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]


def an_event(kind: str, *, result: str = "", mode: str = "live", index: int = 7, **data: object) -> Sequenced:
    actor = {"agent": BOT, "person": ANN, "system": SYSTEM}[kind.partition(":")[0]]
    agent = "support-bot" if actor is BOT else ""
    entry = Entry(kind, ACME, mode, actor, agent, "stripe.refund" if agent else "", "", result, data)  # type: ignore[arg-type]
    made = row(entry, AT)
    return Sequenced("warden.example.com/record/acme/live", mode, index, made.leaf.hex(), made.body)


def test_an_event_of_every_kind_is_what_the_schema_says() -> None:
    for kind in (*SENTENCES, "person:something:new", "agent:something:new"):
        check(ocsf.to_ocsf(an_event(kind, **DATA), payloads=True))
        check(ocsf.to_ocsf(an_event(kind, result="deny"), payloads=False))


@pytest.mark.parametrize("result", ["", "allow", "deny", "ask", "failed", "something"])
@pytest.mark.parametrize("kind", ["agent:check:allow", "agent:action:log", "person:review:approve"])
def test_whatever_came_of_it_is_what_the_schema_says(kind: str, result: str) -> None:
    check(ocsf.to_ocsf(an_event(kind, result=result, **DATA), payloads=False))


def test_the_schema_would_refuse_what_is_wrong() -> None:
    event = ocsf.to_ocsf(an_event("agent:check:allow", result="allow"), payloads=False)
    for broken in ({"severity_id": "x"}, {"nobody": 1}, {"actor": {}}, {"time": "today"}, {"api": {}}):
        with pytest.raises(AssertionError):
            check(event | broken)


def test_a_check_says_who_asked_whom_what_was_decided_and_where_it_is_in_the_log() -> None:
    told = ocsf.to_ocsf(an_event("agent:check:deny", result="deny", **DATA), payloads=False)
    assert (told["class_uid"], told["time"], told["action_id"], told["status_id"]) == (6003, 1798859045678, 2, 2)
    assert told["src_endpoint"] == {"name": "support-bot", "uid": DATA["caller"]}
    assert told["resources"] == [{"name": DATA["callee"], "type": "callee"}]
    assert told["api"]["operation"] == "stripe.refund"
    assert told["metadata"]["correlation_uid"] == DATA["trace_id"]
    assert (told["unmapped"]["index"], len(told["unmapped"]["leaf"])) == (7, 64)


@pytest.mark.parametrize("kind", ["agent:check:ask", "person:review:deny", "person:member:add"])
def test_what_agents_and_people_wrote_leaves_only_where_payloads_are_asked_for(kind: str) -> None:
    event = an_event(kind, result="ask", **DATA)
    for spare, whole in (
        (ocsf.line(event, payloads=False), ocsf.line(event, payloads=True)),
        (json_line(event, payloads=False), json_line(event, payloads=True)),
    ):
        assert "plugh" not in spare
        assert "said by the agent" not in spare
        assert "plugh" in whole
        assert DATA["trace_id"] in spare
    assert json.loads(json_line(event, payloads=True))["event"] == event.body


@pytest.mark.parametrize("text", ["", "no JSON", "[]"])
def test_an_event_that_is_gone_or_unreadable_is_told_as_such(text: str) -> None:
    event = Sequenced("warden.example.com/record/acme/live", "", 3, "", text)
    told = ocsf.to_ocsf(event, payloads=False)
    check(told)
    assert told["message"] == "An event is not in the database any more"
    assert json.loads(json_line(event, payloads=True))["event"] is None


@pytest.mark.django_db(transaction=True)
def test_an_operator_exports_the_record_as_ocsf(tmp_path: Path, settings) -> None:
    settings.WARDEN_HOME = tmp_path
    acme = factories.an_organization()
    some_events(acme.id, 5, card="plugh")
    some_events(acme.id, 2, "test")
    sequence()
    call_command("export_audit", "--output", str(tmp_path / "out"), "--format", "ocsf", "--mode", "live")
    [said] = json.loads((tmp_path / "out/manifest.json").read_text())["logs"]
    text = (tmp_path / "out" / said["file"]).read_text()
    events = [json.loads(line) for line in text.splitlines()]
    for event in events:
        check(event)
    assert [event["unmapped"]["index"] for event in events] == [0, 1, 2, 3, 4]
    assert {event["metadata"]["log_name"] for event in events} == {Log.objects.get(mode="live").origin}
    assert "plugh" not in text
    call_command("export_audit", "--output", str(tmp_path / "whole"), "--format", "ocsf", "--payloads")
    assert "plugh" in (tmp_path / "whole" / said["file"]).read_text()
    with pytest.raises(CommandError, match="--format ocsf"):
        call_command("export_audit", "--output", str(tmp_path / "no"), "--payloads")
