"""What is told of an alert: to its channels, or to the admins by mail where it names none that works."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import User
from audit.ids import read_id
from audit.leaf import timestamp
from notifications.alerts import measures
from notifications.alerts.rules import sentence
from notifications.letters import letter, plain
from notifications.models import Alert, Announcement
from notifications.registry import Facts, Mail, Topic, members_who


class AlertTopic(Topic):
    def facts(self, announcement: Announcement) -> Facts | None:
        alert = _alert(announcement)
        if alert is None:  # its rule was deleted
            return None
        rule = alert.rule
        channels = frozenset(rule.channels.filter(is_active=True).values_list("id", flat=True))
        return Facts(
            risk="critical" if rule.severity == "critical" else "",
            people=() if channels else members_who(rule.organization, "settings:write"),
            channels=channels,
        )

    def mail(self, announcement: Announcement, person: User | None) -> Mail:
        alert = _alert(announcement)
        assert alert is not None  # facts() found it in this transaction
        rule, unit = alert.rule, _unit(alert)
        firing = announcement.event == "alert.firing"
        name = plain(rule.name)
        return letter(
            subject=f"{'Alert' if firing else 'Resolved'}: {name}",
            opening=f"{name} {'fires' if firing else 'is resolved'} at {plain(rule.organization.name)}.",
            facts={
                "Rule": sentence(rule),
                "Severity": rule.severity,
                "Fired": f"{alert.fired_at:%Y-%m-%d %H:%M:%S} UTC",
                "Value": measures.written(alert.value, unit) if firing else "",
                "Worst": measures.written(alert.worst, unit),
                "Resolved": f"{alert.resolved_at:%Y-%m-%d %H:%M:%S} UTC" if alert.resolved_at else "",
            },
            links=[("Open the alerts", settings.SITE_URL + reverse("notifications:alerts"))],
            notes=["You get this because you configure this organization, and the rule names no channel."]
            if person
            else [],
            test=rule.mode == "test",
        )

    def webhook(self, announcement: Announcement) -> dict[str, Any]:
        alert = _alert(announcement)
        assert alert is not None
        return {
            "id": announcement.target,
            "mode": alert.rule.mode,
            "name": alert.rule.name,
            "measure": alert.rule.measure,
            "threshold": alert.rule.threshold,
            "severity": alert.rule.severity,
            "value": alert.value,
            "worst": alert.worst,
            "fired_at": timestamp(alert.fired_at),
            "resolved_at": timestamp(alert.resolved_at) if alert.resolved_at else None,
            "url": settings.SITE_URL + reverse("notifications:alerts"),
        }


def _alert(announcement: Announcement) -> Alert | None:
    rows = Alert.objects.select_related("rule__organization")
    mine = rows.filter(rule__organization_id=announcement.organization_id, rule__mode=announcement.mode)
    return mine.filter(pk__in=[read_id("alt", announcement.target)]).first()


def _unit(alert: Alert) -> str:
    try:
        return measures.find(alert.rule.measure).unit
    except KeyError:
        return ""
