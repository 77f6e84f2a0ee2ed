"""Alert rules and alerts by script and by command."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from notifications.alerts import evaluation
from notifications.models import AlertRule, Channel
from tests.factories import an_agent, an_approval


def test_rules_are_made_changed_listed_and_deleted(owner, world):
    Channel.objects.create(organization=world.acme, name="Ops", transport="email", address="ops@example.com")
    body = {"name": "Many", "measure": "backlog", "threshold": 0, "severity": "critical", "channels": ["Ops"]}
    made = owner("POST", "alert-rules", body, 201)
    assert (made["channels"], made["window_minutes"], made["is_active"]) == (["Ops"], 15, True)
    path = f"alert-rules/{made['id']}"
    changed = owner("PUT", path, {"channels": [], "threshold": 1.5, "muted_until": "2099-01-01T00:00:00Z"}, 200)
    assert (changed["channels"], changed["threshold"], changed["severity"]) == ([], 1.5, "critical")
    assert owner("PUT", path, {"muted_until": None}, 200)["muted_until"] is None
    assert [each["id"] for each in owner("GET", "alert-rules", status=200)] == [made["id"]]
    assert owner("GET", "alert-rules?mode=test", status=200) == []
    assert "nobody" in owner("PUT", path, {"channels": ["nobody"]}, 422)["detail"]
    assert "share" in owner("PUT", path, {"measure": "denial_rate"}, 422)["detail"]
    assert "name" in owner("POST", "alert-rules", body, 422)["detail"]
    assert owner("DELETE", path, status=204) is None
    owner("PUT", path, {"threshold": 2}, 404)


def test_alerts_are_listed_as_they_fire(owner, world):
    made = owner("POST", "alert-rules", {"name": "Any", "measure": "backlog", "threshold": 0}, 201)
    an_approval(agent=an_agent(world.acme))
    evaluation.evaluate()
    (alert,) = owner("GET", "alerts?firing=true", status=200)
    assert (alert["rule_id"], alert["rule"], alert["worst"], alert["resolved_at"]) == (made["id"], "Any", 1, None)
    owner("PUT", f"alert-rules/{made['id']}", {"is_active": False}, 200)
    evaluation.evaluate()
    assert owner("GET", "alerts?firing=true", status=200) == []
    assert owner("GET", "alerts", status=200)[0]["resolved_at"]
    assert owner("GET", f"alerts?after={alert['id']}", status=200) == []


def test_who_may(owner, approver, world):
    made = owner("POST", "alert-rules", {"name": "Any", "measure": "backlog", "threshold": 0}, 201)
    approver("GET", "alert-rules", status=403)
    auditor = world.person("auditor")
    assert auditor("GET", "alerts", status=200) == []
    auditor("DELETE", f"alert-rules/{made['id']}", status=403)


@pytest.mark.django_db
def test_the_commands_do_the_same(world):
    def run(*arguments):
        out = StringIO()
        call_command(*arguments, "--organization", world.acme.slug, stdout=out)
        return out.getvalue()

    made = json.loads(run("set_alert_rule", "Slow", "--measure", "oldest_pending", "--threshold", "20", "--json"))
    assert (made["severity"], made["channels"]) == ("warning", [])
    assert "Age of the oldest request above 45 min" in run(
        "set_alert_rule", "Slow", "--threshold", "45", "--mute", "60"
    )
    assert AlertRule.objects.get(name="Slow").muted_until is not None
    assert json.loads(run("list_alert_rules", "--json"))[0]["firing"] is False
    assert "Slow (off)" in run("set_alert_rule", "Slow", "--no-active") + run("list_alert_rules")
    with pytest.raises(CommandError, match="no channel"):
        run("set_alert_rule", "Slow", "--channel", "Ops")
    with pytest.raises(CommandError, match="needs --measure"):
        run("set_alert_rule", "New")
