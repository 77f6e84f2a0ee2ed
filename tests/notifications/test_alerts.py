"""Alerts fire once and resolve once, whoever looks how often; what they measure; whom they tell."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Organization
from accounts.rules import Refused
from accounts.signals import organization_created
from approvals.models import Approval
from audit.clock import database_now
from audit.ids import new_id
from audit.leaf import SYSTEM, Actor, Entry
from audit.log import Leaf, Log, Sequencer, Verification
from audit.models import Event
from audit.record import record_all
from notifications import delivery
from notifications.alerts import evaluation, measures, news, rules
from notifications.alerts.measures import Scope
from notifications.models import Alert, AlertRule, Announcement, Channel, Delivery
from tests import factories
from tests.approvals.conftest import Acme, acme, make_acme  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db


def a_rule(organization: Organization, measure: str = "backlog", threshold: float = 2, **fields: Any) -> AlertRule:
    return AlertRule.objects.create(
        organization=organization, name=f"Rule {new_id()}", measure=measure, threshold=threshold, **fields
    )


def measured(acme: Acme, name: str, *, mode: str = "live", minutes: int = 15) -> float | None:  # noqa: F811
    scope = Scope(acme.organization.id, mode, database_now(), timedelta(minutes=minutes))
    return measures.find(name).read(scope)


def traffic(acme: Acme, **counts: int) -> None:  # noqa: F811
    """So many events of each kind, as agents make them."""
    entries = []
    for name, count in counts.items():
        kind, result = {
            "allowed": ("agent:check:allow", "allow"),
            "denied": ("agent:check:deny", "deny"),
            "asked": ("agent:check:ask", "ask"),
            "claimed": ("agent:approval:claim", "allow"),
            "unknown": ("agent:check:refuse", "deny"),
            "done": ("agent:action:log", "success"),
            "failed": ("agent:action:log", "failed"),
            "broken": ("agent:action:log", "error"),
        }[name]
        actor = Actor("agent", "k", "support-bot")
        entries += [Entry(kind, acme.organization.id, "live", actor, result=result) for _ in range(count)]
    with transaction.atomic():
        record_all(entries, at=database_now())


def news_of(event: str) -> list[str]:
    return list(Announcement.objects.filter(event=event).values_list("target", flat=True))


def test_an_alert_fires_once_and_resolves_once(acme: Acme) -> None:  # noqa: F811
    rule = a_rule(acme.organization)
    evaluation.evaluate()
    assert not Alert.objects.exists()
    for _ in range(3):
        factories.an_approval(agent=acme.bot)
    evaluation.evaluate()
    evaluation.evaluate()
    factories.an_approval(agent=acme.bot)
    evaluation.evaluate()
    alert = Alert.objects.get()
    assert (alert.rule, alert.value, alert.worst, alert.resolved_at) == (rule, 4, 4, None)
    assert len(news_of("alert.firing")) == 1
    Approval.objects.filter(pk__in=Approval.objects.values("pk")[:2]).update(
        state="cancelled", decided_at=database_now()
    )
    evaluation.evaluate()
    evaluation.evaluate()
    alert.refresh_from_db()
    assert alert.resolved_at is not None
    assert alert.worst == 4
    assert len(news_of("alert.resolved")) == 1
    kinds = Event.objects.filter(kind__startswith="system:alert:").order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["system:alert:fire", "system:alert:resolve"]


def test_it_fires_again_when_it_happens_again(acme: Acme) -> None:  # noqa: F811
    rule = a_rule(acme.organization, threshold=0)
    for _ in range(2):
        approval = factories.an_approval(agent=acme.bot)
        evaluation.evaluate()
        Approval.objects.filter(pk=approval.pk).update(state="cancelled", decided_at=database_now())
        evaluation.evaluate()
    assert rule.alerts.count() == 2


@pytest.mark.django_db(transaction=True)
def test_looks_at_once_fire_once() -> None:
    acme = make_acme()  # noqa: F811
    for _ in range(6):
        a_rule(acme.organization, threshold=0)
    factories.an_approval(agent=acme.bot)

    def look(_: int) -> None:
        try:
            for _ in range(5):
                evaluation.evaluate()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(look, range(4)))
    assert Alert.objects.count() == 6
    assert len(news_of("alert.firing")) == 6


def test_a_rule_that_cannot_be_measured_keeps_its_state_and_hinders_no_other(acme: Acme) -> None:  # noqa: F811
    odd = a_rule(acme.organization, "a_measure_of_an_older_version", 0)
    Alert.objects.create(rule=odd, value=1, worst=1)
    a_rule(acme.organization, threshold=0)
    factories.an_approval(agent=acme.bot)
    assert evaluation.evaluate() == 1
    assert Alert.objects.filter(resolved_at=None).count() == 2


def test_a_muted_alert_is_kept_and_told_when_the_mute_ends(acme: Acme) -> None:  # noqa: F811
    rule = a_rule(acme.organization, threshold=0, muted_until=timezone.now() + timedelta(hours=1))
    factories.an_approval(agent=acme.bot)
    evaluation.evaluate()
    assert Alert.objects.get().told_at is None
    assert news_of("alert.firing") == []
    AlertRule.objects.filter(pk=rule.pk).update(muted_until=timezone.now() - timedelta(seconds=1))
    evaluation.evaluate()
    assert len(news_of("alert.firing")) == 1


def test_what_nobody_heard_of_ends_in_silence_and_a_rule_switched_off_resolves(acme: Acme) -> None:  # noqa: F811
    rule = a_rule(acme.organization, threshold=0, muted_until=timezone.now() + timedelta(hours=1))
    factories.an_approval(agent=acme.bot)
    evaluation.evaluate()
    rules.change(rule=rule, by=SYSTEM, is_active=False)
    evaluation.evaluate()
    assert Alert.objects.get().resolved_at is not None
    assert news_of("alert.resolved") == []


def test_a_rule_that_fires_is_not_deleted_before_those_who_were_told_hear_that_it_is_over(acme: Acme) -> None:  # noqa: F811
    rule = a_rule(acme.organization, threshold=0)
    factories.an_approval(agent=acme.bot)
    evaluation.evaluate()
    with pytest.raises(Refused, match="Switch it off"):
        rules.delete(rule=rule, by=SYSTEM)
    rules.change(rule=rule, by=SYSTEM, is_active=False)
    evaluation.evaluate()
    with pytest.raises(Refused):  # it resolved, and nobody was told yet
        rules.delete(rule=rule, by=SYSTEM)
    while delivery.fan_out():
        pass
    rules.delete(rule=rule, by=SYSTEM)
    subjects = Delivery.objects.filter(address=acme.owner.email).order_by("id").values_list("subject", flat=True)
    assert [subject.partition(":")[0] for subject in subjects] == ["Alert", "Resolved"]


def test_backlog_oldest_and_about_to_expire(acme: Acme) -> None:  # noqa: F811
    assert [measured(acme, name) for name in ("backlog", "oldest_pending", "about_to_expire")] == [0, 0, 0]
    now = database_now()
    factories.an_approval(agent=acme.bot)
    factories.an_approval(agent=acme.bot, now=now - timedelta(minutes=55), minutes=60)
    factories.an_approval(agent=acme.bot, now=now - timedelta(minutes=61), minutes=60)  # overdue: expired as of now
    factories.an_approval(agent=acme.bot, mode="test")
    factories.an_approval(agent=factories.an_agent(factories.an_organization()))
    assert measured(acme, "backlog") == 2
    assert measured(acme, "oldest_pending") == pytest.approx(55, abs=0.5)
    assert measured(acme, "about_to_expire") == 1
    assert measured(acme, "backlog", mode="test") == 1


@pytest.mark.parametrize(
    ("counts", "rate"),
    [
        ({}, None),
        ({"denied": 9}, None),  # too few to say
        ({"denied": 3, "allowed": 7}, 0.3),
        ({"denied": 4, "allowed": 3, "claimed": 3, "asked": 50, "done": 50}, 0.4),
    ],
)
def test_the_denial_rate_is_of_decided_checks(acme: Acme, counts: dict[str, int], rate: float | None) -> None:  # noqa: F811
    traffic(acme, **counts)
    assert measured(acme, "denial_rate") == rate


@pytest.mark.parametrize(
    ("counts", "rate"),
    [({"failed": 9}, None), ({"failed": 1, "broken": 1, "done": 18, "denied": 70}, 0.1), ({"done": 10}, 0)],
)
def test_the_error_rate_is_of_what_agents_logged(acme: Acme, counts: dict[str, int], rate: float | None) -> None:  # noqa: F811
    traffic(acme, **counts)
    assert measured(acme, "error_rate") == rate


def test_unknown_callers_are_counted_within_the_window(acme: Acme) -> None:  # noqa: F811
    traffic(acme, unknown=3)
    assert measured(acme, "unknown_callers") == 3
    assert measured(acme, "unknown_callers", mode="test") == 0
    assert measured(acme, "unknown_callers", minutes=0) == 0


def test_undelivered_messages_are_those_that_were_tried_in_vain(acme: Acme) -> None:  # noqa: F811
    announcement = Announcement.objects.create(
        organization=acme.organization, mode="live", event="approval.requested", target="apr_x"
    )
    for number, (state, attempts, error) in enumerate(
        [("due", 0, ""), ("due", 1, "refused"), ("failed", 12, "refused"), ("moot", 1, "refused")]
    ):
        Delivery.objects.create(
            organization=acme.organization,
            mode="live",
            transport="email",
            address=f"{number}@example.com",
            event="approval.requested",
            announcement=announcement,
            state=state,
            attempts=attempts,
            error=error,
        )
    assert measured(acme, "delivery_failures") == 2


@pytest.mark.django_db(transaction=True)
def test_the_record_behind_by_more_than_a_minute_alarms_until_it_is_put_in_order(acme: Acme) -> None:  # noqa: F811
    rule = a_rule(acme.organization, "record_lag", 1)
    other = a_rule(factories.an_organization(), "record_lag", 1)
    traffic(acme, allowed=1)
    evaluation.evaluate()
    assert not Alert.objects.exists()
    entry = Entry("agent:check:allow", acme.organization.id, "live", Actor("agent", "k", "support-bot"))
    with transaction.atomic():
        record_all([entry], at=database_now() - timedelta(seconds=61))
    evaluation.evaluate()
    alert = Alert.objects.get()
    assert (alert.rule, alert.resolved_at) == (rule, None)
    assert alert.value == pytest.approx(61 / 60, abs=0.1)
    log = Log.objects.create(organization_id=acme.organization.id, mode="live", origin="warden.example.com/a")
    events = Event.objects.filter(organization_id=acme.organization.id).order_by("at")
    for index, (number, at) in enumerate(events.values_list("id", "at")):
        Leaf.objects.create(event_id=number, log=log, index=index, at=at)
    evaluation.evaluate()
    alert.refresh_from_db()
    assert alert.resolved_at is not None
    assert not other.alerts.exists()


def test_a_record_that_is_not_what_was_signed_alarms(acme: Acme) -> None:  # noqa: F811
    assert measured(acme, "record_broken") == 0
    log = Log.objects.create(organization_id=acme.organization.id, mode="live", origin="warden.example.com/a")
    for problem, broken in (("", 0), ("An event is missing.", 1), ("", 0)):
        Verification.objects.create(log=log, at=database_now(), size=1, problem=problem)
        assert measured(acme, "record_broken") == broken
    Sequencer.objects.update_or_create(id=1, defaults={"refusal": "The log is shorter than it was."})
    assert measured(acme, "record_broken") == 1


def test_an_alert_goes_to_its_channels_or_to_those_who_configure(acme: Acme) -> None:  # noqa: F811
    rule = a_rule(acme.organization, threshold=0, severity="critical")
    factories.an_approval(agent=acme.bot)
    evaluation.evaluate()
    announcement = Announcement.objects.get()
    facts = news.AlertTopic().facts(announcement)
    assert facts is not None
    assert {member.user for member in facts.people} == {acme.owner, acme.admin}
    assert facts.channels == frozenset()
    assert facts.is_urgent
    channel = Channel.objects.create(
        organization=acme.organization, name="Ops", transport="email", address="ops@example.com"
    )
    rule.channels.add(channel)
    facts = news.AlertTopic().facts(announcement)
    assert facts is not None
    assert (facts.people, facts.channels) == ((), frozenset({channel.pk}))
    mail = news.AlertTopic().mail(announcement, None)
    assert "Requests that wait above 0" in mail.text
    assert news.AlertTopic().webhook(announcement)["worst"] == 1
    rule.delete()
    assert news.AlertTopic().facts(announcement) is None


def test_a_new_organization_begins_with_the_default_rules(acme: Acme) -> None:  # noqa: F811
    made = factories.an_organization()
    with transaction.atomic():
        organization_created.send(Organization, organization=made, by=SYSTEM)
    found = {rule.name: (rule.measure, rule.threshold, rule.severity) for rule in made.alert_rules.all()}
    assert found["Backlog"] == ("backlog", 10, "warning")
    assert found["Denial rate"] == ("denial_rate", 0.3, "warning")
    assert found["Error rate"] == ("error_rate", 0.05, "critical")
    assert {measure for measure, _, _ in found.values()} == {measure.name for measure in measures.known()}


@pytest.mark.parametrize(
    "fields",
    [
        {"measure": "nonsense"},
        {"threshold": float("nan")},
        {"threshold": -1},
        {"measure": "denial_rate", "threshold": 30},
        {"window_minutes": 0},
        {"window_minutes": 100_000},
        {"severity": "dire"},
        {"name": "\u202e"},
        {"channels": [new_id()]},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(acme: Acme, fields: dict[str, Any]) -> None:  # noqa: F811
    sound: dict[str, Any] = {"name": "Mine", "measure": "backlog", "threshold": 1}
    with pytest.raises(ValidationError):
        rules.create(organization=acme.organization, mode="live", by=SYSTEM, **sound | fields)


def test_who_may_not_configure_changes_no_rule(acme: Acme) -> None:  # noqa: F811
    member = acme.auditor.memberships.get()
    with pytest.raises(Refused):
        rules.create(
            organization=acme.organization, mode="live", by=member, name="Mine", measure="backlog", threshold=1
        )


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (12, "", "12"),
        (0.3123, "share", "31.2 %"),
        (0.05, "share", "5 %"),
        (45.26, "minutes", "45.3 min"),
        (1234, "", "1234"),
    ],
)
def test_values_are_written_short(value: float, unit: str, words: str) -> None:
    assert measures.written(value, unit) == words
