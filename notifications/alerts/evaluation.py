"""Looks at every rule: what is above its threshold fires once, what no longer is resolves once.

An alert is a row: unique while it is unresolved, so it survives restarts, and two looks at once do no harm. The row,
its event in the record and its news commit together.
"""

import uuid
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from audit.clock import database_now
from audit.ids import show_id
from audit.leaf import SYSTEM
from audit.record import record
from notifications import hints
from notifications.alerts import measures
from notifications.alerts.rules import is_muted, sentence
from notifications.models import Alert, AlertRule
from notifications.outbox import announce

log = structlog.get_logger(__name__)
PATIENCE_MS = 5_000  # for one measure


def evaluate() -> int:
    """Looks at every active rule, and at those switched off that still fire. Returns how many were looked at.

    A rule that cannot be measured (too slow, a mistake in it) keeps its state and does not keep others from theirs.
    """
    firing = Alert.objects.filter(rule=OuterRef("pk"), resolved_at=None)
    rules = AlertRule.objects.filter(Q(is_active=True) | Exists(firing)).order_by("id").values_list("id", flat=True)
    done = 0
    for rule_id in list(rules):
        try:
            done += look(rule_id)
        except Exception:  # whatever is wrong with one
            log.exception("an alert rule could not be evaluated", rule=str(rule_id))
    return done


@transaction.atomic
def look(rule_id: uuid.UUID) -> bool:
    """Measures one rule and does what follows. False where somebody else holds it, or it is gone."""
    rows = AlertRule.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=rule_id)
    rule = rows.first()
    if rule is None:
        return False
    now = database_now()
    value = _measure(rule, now) if rule.is_active else None
    alert = rule.alerts.filter(resolved_at=None).first()
    if value is not None and value > rule.threshold:
        if alert is None:
            alert = Alert.objects.create(rule=rule, fired_at=now, value=value, worst=value)
            _record("fire", alert, rule, value)
        elif value != alert.value:
            alert.value, alert.worst = value, max(value, alert.worst)
            Alert.objects.filter(pk=alert.pk, resolved_at=None).update(value=value, worst=alert.worst)
        if alert.told_at is None and not is_muted(rule, now):
            _tell(alert, rule, "alert.firing")
            Alert.objects.filter(pk=alert.pk).update(told_at=now)
    elif alert is not None and Alert.objects.filter(pk=alert.pk, resolved_at=None).update(resolved_at=now):
        _record("resolve", alert, rule, value)
        if alert.told_at is not None:  # who never heard that it fired need not hear that it ended
            _tell(alert, rule, "alert.resolved")
    return True


def _measure(rule: AlertRule, now: datetime) -> float | None:
    window = timedelta(minutes=rule.window_minutes)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(PATIENCE_MS)])
        value = measures.find(rule.measure).read(measures.Scope(rule.organization_id, rule.mode, now, window))
        cursor.execute("SELECT set_config('statement_timeout', '0', true)")
    return value


def _tell(alert: Alert, rule: AlertRule, event: str) -> None:
    announce([(rule.organization_id, rule.mode, event, show_id("alt", alert.pk))])
    hints.poke()


def _record(verb: str, alert: Alert, rule: AlertRule, value: float | None) -> None:
    record(
        kind=f"system:alert:{verb}",
        organization_id=rule.organization_id,
        mode="test" if rule.mode == "test" else "live",
        actor=SYSTEM,
        target=show_id("alt", alert.pk),
        data={
            "named": rule.name,
            "rule": sentence(rule),
            "severity": rule.severity,
            "value": value,
            "worst": max(alert.worst, value or 0),
        },
    )
