"""Logs and events by script: filters, pages, bounds, and nothing of another organization."""

from datetime import UTC, datetime, timedelta

import pytest

from audit.ids import new_id, show_id
from audit.leaf import Actor, Entry, leaf_hash
from audit.models import Event
from audit.record import record_all

START = datetime(2026, 3, 1, tzinfo=UTC)


def log(organization, seconds=0, **fields) -> str:
    """Writes one log and returns its identifier."""
    agent = fields.get("agent", "support-bot")
    defaults = {
        "kind": "agent:action:log",
        "organization_id": organization.id,
        "mode": "live",
        "actor": Actor("agent", "k", agent),
        "agent": agent,
        "action": "email.send",
        "result": "success",
        "data": {"context": {"to": "x@example.com"}, "ip_address": None},
    }
    entry = Entry(**(defaults | fields))
    record_all([entry], at=START + timedelta(seconds=seconds))
    return show_id("log", entry.id)


def ids(rows) -> list[str]:
    return [row["id"] for row in rows]


def test_logs_are_a_bare_array_in_the_form_of_the_original(owner, world):
    made = log(world.acme, target="apr_" + "0" * 26)
    rows = owner("GET", "logs", status=200)
    assert rows == [
        {
            "id": made,
            "agent_id": "support-bot",
            "organization_id": str(world.acme.id),
            "action": "email.send",
            "status": "success",
            "context": {"to": "x@example.com"},
            "created_at": "2026-03-01T00:00:00Z",
            "approval_id": "apr_" + "0" * 26,
            "decision_id": None,
            "ip_address": None,
        }
    ]
    assert owner("GET", f"logs/{made}", status=200) == rows[0]


def test_filters_of_logs(owner, world):
    sent = log(world.acme, 1)
    failed = log(world.acme, 2, result="failed")
    below = log(world.acme, 3, action="email.send.bulk")
    other = log(world.acme, 4, agent="other-bot")
    test = log(world.acme, 5, mode="test")
    log(world.acme, 6, kind="agent:check:allow", result="allow")
    assert ids(owner("GET", "logs", status=200)) == [other, below, failed, sent]
    assert ids(owner("GET", "logs?status=failed", status=200)) == [failed]
    assert ids(owner("GET", "logs?action=email.send", status=200)) == [other, failed, sent]
    assert ids(owner("GET", "logs?agent_id=other-bot", status=200)) == [other]
    assert ids(owner("GET", f"logs?agent_id={world.bot.id}", status=200)) == [below, failed, sent]
    assert ids(owner("GET", "logs?mode=test", status=200)) == [test]
    assert ids(owner("GET", "logs?created_after=2026-03-01T00:00:03Z", status=200)) == [other, below]
    assert ids(owner("GET", "logs?created_before=2026-03-01T01:00:01%2B01:00", status=200)) == [sent]
    assert owner("GET", "logs?status=nothing", status=200) == []


def test_logs_of_a_deleted_agent_stay_and_are_found_by_its_id(owner, world):
    made = log(world.acme)
    owner("DELETE", "agents/support-bot", status=204)
    assert ids(owner("GET", f"logs?agent_id={world.bot.id}", status=200)) == [made]


def test_pages_of_logs_by_offset_and_by_cursor(owner, world):
    newest = [log(world.acme, second) for second in range(7)][::-1]
    assert ids(owner("GET", "logs?limit=3", status=200)) == newest[:3]
    assert ids(owner("GET", "logs?limit=3&offset=3", status=200)) == newest[3:6]
    assert ids(owner("GET", "logs?limit=3&offset=6", status=200)) == newest[6:]
    assert owner("GET", "logs?offset=10000", status=200) == []
    after = newest[2]
    log(world.acme, 100)
    assert ids(owner("GET", f"logs?limit=3&after={after}", status=200)) == newest[3:6]
    assert "either" in owner("GET", f"logs?offset=1&after={after}", status=422)["detail"]
    assert owner("GET", f"logs?after={show_id('log', new_id())}", status=404)
    assert len(owner("GET", "logs", status=200)) == 8
    for second in range(15):
        log(world.acme, 200 + second)
    assert len(owner("GET", "logs", status=200)) == 20  # unless it is asked for more


def test_an_event_comes_with_its_leaf_and_the_bytes_it_is_taken_over(owner, world):
    made = log(world.acme, action="a.b", data={"context": {"n": 1e20, "é": "\u202e"}})
    raw = owner.client.get(f"/api/events/{made}", headers={"Authorization": f"Bearer {owner.token}"}).content.decode()
    event = Event.objects.get(action="a.b")
    assert f'"event":{event.body}' in raw
    answer = owner("GET", f"events/{event.event_id}", status=200)
    assert answer["id"] == event.event_id
    assert bytes.fromhex(answer["leaf"]) == leaf_hash(event.body) == bytes(event.leaf)


def test_the_record_is_searched_as_on_its_page(owner, world):
    made = log(world.acme, 1, action="a.b.c", target="apr_" + "0" * 26)
    event = "evt_" + made.removeprefix("log_")
    assert ids(owner("GET", "events?action=a.b", status=200)) == [event]
    assert ids(owner("GET", "events?kind=agent", status=200)) == [event]
    assert ids(owner("GET", "events?target=" + "apr_" + "0" * 26, status=200)) == [event]
    assert ids(owner("GET", f"events?target={made}", status=200)) == [event]
    told = owner("GET", f"events?actor={owner.person.email}", status=200)
    assert {row["event"]["kind"] for row in told} == {"person:token:create", "person:token:first_use"}
    newest = ids(owner("GET", "events", status=200))
    assert ids(owner("GET", f"events?limit=1&after={newest[0]}", status=200)) == newest[1:2]
    assert ids(owner("GET", "events?mode=test", status=200)) == [each for each in newest if each != event]


def test_another_organizations_record_is_not_there(owner, stranger, world):
    made = log(world.acme)
    assert stranger("GET", "logs", status=200) == []
    stranger("GET", f"logs/{made}", status=404)
    stranger("GET", f"events/{made}", status=404)
    stranger("GET", f"logs?after={made}", status=404)
    assert made.removeprefix("log_") not in str(stranger("GET", "events?kind=agent", status=200))
    assert stranger("GET", f"events?target={made}", status=200) == []


@pytest.mark.parametrize("path", ["logs", "events", "logs/x", "events/x"])
def test_a_viewer_may_not_read_the_record(viewer, path):
    assert "logs:read" in viewer("GET", path, status=403)["detail"]


def test_a_log_is_no_name_for_another_kind_of_event(owner, world):
    made = log(world.acme, kind="agent:check:allow")
    owner("GET", f"logs/{made}", status=404)
    assert owner("GET", f"events/{made}", status=200)
