"""The policy as files, by script: planned by who may read, applied by who may write, as a whole or not at all."""

import json

from django.test import Client
from jsonschema import Draft202012Validator

from agents.models import Agent, Permission
from tests.factories import a_permission

FILE = """\
version: 1
agents:
  support-bot:
    permissions:
      email.send: allow
      crm.read: {effect: ask, max_amount: 5.5}
"""


def body(text: str = FILE, **more: object) -> dict[str, object]:
    return {"files": [{"name": "warden.yaml", "text": text}], **more}


def test_a_reader_plans_and_an_owner_applies_exactly_that(owner, viewer, world):
    a_permission(world.bot, "email.draft")
    plan = viewer("POST", "policy/plan", body(), 200)
    assert plan["summary"] == "2 to add, 0 to change, 1 to remove"
    assert [(each["kind"], each["action"], each["direction"]) for each in plan["changes"]] == [
        ("add", "crm.read", "widens"),
        ("remove", "email.draft", "narrows"),
        ("add", "email.send", "widens"),
    ]
    assert not Permission.objects.filter(action="crm.read").exists()
    assert viewer("POST", "policy/apply", body(plan=plan["digest"]))[0] == 403
    done = owner("POST", "policy/apply", body(plan=plan["digest"], source="3f2a9c1"), 200)
    assert (done["changed"], done["summary"], done["secrets"]) == (True, plan["summary"], {})
    assert owner("POST", "policy/apply", body(plan="", source="3f2a9c1"), 200)["changed"] is False
    drift = viewer("GET", "policy/diff", status=200)
    assert (drift["source"], drift["applied_by"], drift["summary"]) == (
        "3f2a9c1",
        owner.person.email,
        "Is as it was applied.",
    )
    Permission.objects.filter(action="email.send").delete()
    drift = viewer("GET", "policy/diff", status=200)
    assert (drift["summary"], drift["changes"][0]["words"]) == ("Differs in 1 place.", "email.send passes")


def test_what_changed_meanwhile_is_409(owner, world):
    plan = owner("POST", "policy/plan", body(), 200)
    a_permission(world.bot, "email.draft")
    status, answer = owner("POST", "policy/apply", body(plan=plan["digest"]))
    assert (status, "plan again" in answer["detail"]) == (409, True)
    assert not Permission.objects.filter(action="email.send").exists()


def test_problems_have_their_place(viewer):
    wrong = FILE.replace("5.5", "-5")
    answer = viewer("POST", "policy/validate", body(wrong), 200)
    [problem] = answer["problems"]
    assert (answer["valid"], problem["file"], problem["line"], problem["column"]) == (False, "warden.yaml", 6, 43)
    status, refused = viewer("POST", "policy/plan", body(wrong))
    assert (status, refused["code"]) == (422, "policy_broken")
    assert refused["detail"].startswith("warden.yaml:6:43: ")
    assert viewer("POST", "policy/validate", body(), 200) == {"valid": True, "problems": []}


def test_an_export_is_one_file_that_changes_nothing(owner, viewer, stranger, world):
    a_permission(world.bot, "email.send", max_amount="12.50", currency="USD")
    text = viewer("GET", "policy/export", status=200)["text"]
    assert text.startswith("# yaml-language-server: $schema=http")
    assert "max_amount: 12.50" in text
    assert viewer("POST", "policy/plan", body(text), 200)["changes"] == []
    assert "support-bot" not in stranger("GET", "policy/export", status=200)["text"]
    assert Agent.objects.count() == 1


def test_the_schema_is_there_for_every_editor_and_knows_what_the_server_reads(db):
    response = Client().get("/api/policy/schema.json")
    assert response["Content-Type"] == "application/schema+json"
    schema = json.loads(response.content)
    Draft202012Validator.check_schema(schema)
    check = Draft202012Validator(schema)
    permissions = {"a.b": "allow", "c.d": [{"effect": "ask", "max_amount": 5}]}
    good = {"version": 1, "agents": {"bot": {"permissions": permissions}}}
    assert check.is_valid(good)
    assert not check.is_valid(good | {"agents": {"bot": {"permission": {}}}})
    assert not check.is_valid({"agents": {}})


TESTS = """\
tests:
  - {name: mail, agent: support-bot, action: email.send, expect: allow}
  - {name: reading waits, agent: support-bot, action: crm.read, context: {amount: 5}, expect: allow}
"""


def test_scenarios_are_run_for_whoever_may_read(viewer):
    answer = viewer("POST", "policy/test", body(FILE + TESTS), 200)
    assert (answer["passed"], answer["failed"], answer["coverage"]) == (1, 1, 100.0)
    assert answer["results"][1]["wrong"].startswith("expected allow, came to ask")
    assert answer["results"][1]["line"] == 9
    assert answer["junit"].startswith("<?xml")


def test_a_backtest_is_for_those_who_may_read_the_record(owner, viewer):
    answer = owner("POST", "policy/backtest", body(days=30), 200)
    assert (answer["looked_at"], answer["differs"], answer["next"]) == (0, 0, None)
    assert viewer("POST", "policy/backtest", body())[0] == 403
    assert owner("POST", "policy/backtest", body(after="evt_x"))[0] == 422
