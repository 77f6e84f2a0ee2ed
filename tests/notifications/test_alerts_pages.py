"""The pages of alerts: who sees them, what they say, what they change."""

import pytest

from audit.ids import show_id
from audit.models import Event
from notifications.alerts import evaluation
from notifications.models import Alert, AlertRule, Channel
from tests import factories
from tests.approvals.conftest import Acme, acme, enter  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db
ALERTS, RULES, NEW = "/settings/alerts/", "/settings/alerts/rules", "/settings/alerts/rules/new"
SENT = {
    "name": "Many",
    "measure": "backlog",
    "threshold": "3",
    "window_minutes": "15",
    "severity": "warning",
    "mute": "",
    "is_active": "on",
}


@pytest.fixture
def rule(acme: Acme) -> AlertRule:  # noqa: F811
    return AlertRule.objects.create(organization=acme.organization, name="Backlog", measure="backlog", threshold=0)


def page(rule: AlertRule, what: str = "") -> str:
    return f"{RULES}/{show_id('alr', rule.pk)}{what}"


def test_what_fires_and_what_fired_is_shown(acme: Acme, enter, rule) -> None:  # noqa: F811
    browser = enter(acme.auditor)
    assert "Nothing fires" in browser.get(ALERTS).content.decode()
    factories.an_approval(agent=acme.bot)
    evaluation.evaluate()
    text = browser.get(ALERTS).content.decode()
    assert "Requests that wait above 0" in text
    assert "Nothing has resolved yet" in text
    assert "&lt;Alert" not in text
    for where in (ALERTS, RULES):  # the rail counts what fires
        assert " alert fires" in browser.get(where).content.decode()
    AlertRule.objects.update(is_active=False)
    evaluation.evaluate()
    text = browser.get(ALERTS).content.decode()
    assert "No rule is active" in text
    assert "Lasted" in text


def test_what_is_critical_stands_first(acme: Acme, enter, rule) -> None:  # noqa: F811
    grave = AlertRule.objects.create(
        organization=acme.organization, name="Grave", measure="backlog", threshold=0, severity="critical"
    )
    for each in (grave, rule):  # and what fired last before it
        Alert.objects.create(rule=each, value=1, worst=1)
    shown = enter(acme.admin).get(ALERTS).context["firing_now"]
    assert [row["alert"].rule for row in shown] == [grave, rule]


def test_history_goes_on_over_pages(acme: Acme, enter, rule) -> None:  # noqa: F811
    for _ in range(51):
        alert = Alert.objects.create(rule=rule, value=1, worst=1)
        Alert.objects.filter(pk=alert.pk).update(resolved_at=alert.fired_at)
    browser = enter(acme.admin)
    first = browser.get(ALERTS)
    assert len(first.context["history"]) == 50
    assert len(browser.get(ALERTS, {"after": first.context["older"]}).context["history"]) == 1


def test_rules_are_made_changed_muted_and_deleted_and_it_is_recorded(acme: Acme, enter) -> None:  # noqa: F811
    channel = Channel.objects.create(
        organization=acme.organization, name="Ops", transport="email", address="ops@example.com"
    )
    browser = enter(acme.admin)
    assert browser.post(NEW, SENT | {"channels": [str(channel.pk)]}).status_code == 302
    rule = AlertRule.objects.get(name="Many")
    assert list(rule.channels.all()) == [channel]
    assert browser.post(NEW, SENT).status_code == 422  # the name is taken
    assert browser.post(NEW, SENT | {"name": "Other", "measure": "denial_rate"}).status_code == 422
    assert browser.post(page(rule), SENT | {"mute": "60", "threshold": "4"}).status_code == 302
    rule.refresh_from_db()
    assert rule.muted_until is not None
    assert (rule.threshold, rule.channels.count()) == (4, 0)
    until = rule.muted_until
    assert browser.post(page(rule), SENT | {"mute": "keep"}).status_code == 302
    rule.refresh_from_db()
    assert rule.muted_until == until
    assert "Delete the rule" in browser.get(page(rule, "/delete")).content.decode()
    assert browser.post(page(rule, "/delete")).status_code == 302
    assert not AlertRule.objects.exists()
    kinds = Event.objects.filter(kind__startswith="person:alert_rule:").order_by("id").values_list("kind", flat=True)
    assert [kind.rpartition(":")[2] for kind in kinds] == ["create", "change", "change", "delete"]


@pytest.mark.parametrize(
    ("who", "see", "edit"),
    [("owner", 200, 200), ("auditor", 200, 403), ("approver", 403, 403), ("viewer", 403, 403), ("stranger", 200, 404)],
)
def test_three_sorts_of_people(acme: Acme, enter, rule, who: str, see: int, edit: int) -> None:  # noqa: F811
    browser = enter(getattr(acme, who))
    assert browser.get(ALERTS).status_code == see
    assert browser.get(RULES).status_code == see
    assert browser.get(page(rule)).status_code == edit
    assert browser.post(page(rule), SENT).status_code == edit if edit != 200 else True
    assert browser.post(page(rule, "/delete")).status_code == (edit if edit != 200 else 302)


def test_a_stranger_sees_nothing_of_ours_and_test_mode_is_apart(acme: Acme, enter, rule) -> None:  # noqa: F811
    Alert.objects.create(rule=rule, value=1, worst=1)
    assert enter(acme.stranger).get(ALERTS).context["firing_now"] == []
    browser = enter(acme.owner, "test")
    assert browser.get(ALERTS).context["firing_now"] == []
    assert browser.get(page(rule)).status_code == 404
