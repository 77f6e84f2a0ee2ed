"""Alert rules: made, changed, deleted, each with its event. Evaluation reads them afresh every time."""

import math
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.by import By, check_by, tell
from accounts.models import Organization
from accounts.names import clean_name
from accounts.rules import Refused
from audit.ids import show_id
from audit.leaf import timestamp
from notifications.alerts import measures
from notifications.models import AlertRule, Announcement, Channel

FIELDS = ("name", "measure", "threshold", "window_minutes", "severity", "is_active", "muted_until")
LONGEST_WINDOW = 1_440  # minutes; a longer one would read more of the record than a look every few seconds may

# What an organization begins with: name, measure, threshold, window in minutes, severity. Live mode.
DEFAULTS = (
    ("Backlog", "backlog", 10, 15, "warning"),
    ("Denial rate", "denial_rate", 0.3, 15, "warning"),
    ("Error rate", "error_rate", 0.05, 15, "critical"),
    ("Oldest request", "oldest_pending", 30, 15, "warning"),
    ("About to expire", "about_to_expire", 2, 15, "warning"),
    ("Undelivered messages", "delivery_failures", 3, 240, "warning"),
    ("Unknown callers", "unknown_callers", 5, 15, "warning"),
    ("Record behind", "record_lag", 1, 15, "critical"),
    ("Record broken", "record_broken", 0, 15, "critical"),
    ("Stream behind", "stream_lag", 5, 15, "warning"),
    ("Checkpoints unpublished", "checkpoints_unpublished", 15, 15, "warning"),
    ("Rules nobody can satisfy", "stuck_rules", 0, 15, "warning"),
)


def begin(*, organization: Organization, **_: Any) -> None:
    """A new organization gets the default rules, in the transaction that makes it."""
    AlertRule.objects.bulk_create(
        AlertRule(
            organization=organization,
            name=name,
            measure=measure,
            threshold=threshold,
            window_minutes=window,
            severity=severity,
        )
        for name, measure, threshold, window, severity in DEFAULTS
    )


def create(
    *, organization: Organization, mode: str, by: By, channels: Iterable[uuid.UUID] = (), **fields: Any
) -> AlertRule:
    """A rule of one mode. `channels` are told when it fires; none: the admins. Raises Refused, ValidationError."""
    with transaction.atomic():
        check_by(by, organization, "settings:write")
        rule = AlertRule(organization=organization, mode=mode, **_known(fields))
        _check(rule)
        routes = _routes(rule, channels)
        _save(rule, force_insert=True)
        rule.channels.set(routes)
        _record("create", rule, by, after=facts(rule))
    return rule


def change(*, rule: AlertRule, by: By, channels: Iterable[uuid.UUID] | None = None, **fields: Any) -> AlertRule:
    """Changes what is given. An alert that fires is judged by the new rule at the next look. Raises as create does."""
    with transaction.atomic():
        rule = _locked(rule, by)
        before = facts(rule)
        for name, value in _known(fields).items():
            setattr(rule, name, value)
        _check(rule)
        if fields:
            _save(rule, update_fields=list(fields))
        if channels is not None:
            rule.channels.set(_routes(rule, channels))
        after = facts(rule)
        changes = {name: {"from": before[name], "to": after[name]} for name in after if before[name] != after[name]}
        if changes:
            _record("change", rule, by, changes=changes)
    return rule


def delete(*, rule: AlertRule, by: By) -> None:
    """Deletes a rule and the history of its alerts; the record keeps both. Raises Refused, also while it fires."""
    with transaction.atomic():
        rule = _locked(rule, by)
        if _is_owed_an_end(rule):
            raise Refused("It fires, and who was told would never hear that it is over. Switch it off, then delete it.")
        _record("delete", rule, by, before=facts(rule))
        rule.delete()


def _is_owed_an_end(rule: AlertRule) -> bool:
    """Whether somebody was told that it fires, and nobody yet that it no longer does."""
    last = rule.alerts.exclude(told_at=None).first()
    if last is None:
        return False
    news = Announcement.objects.filter(organization=rule.organization, target=show_id("alt", last.pk))
    return last.resolved_at is None or news.filter(fanned_out_at=None).exists()


def facts(rule: AlertRule) -> dict[str, Any]:
    """What people set of a rule, as JSON data."""
    kept = {name: getattr(rule, name) for name in FIELDS}
    if rule.muted_until:
        kept["muted_until"] = timestamp(rule.muted_until)
    kept["channels"] = sorted(rule.channels.values_list("name", flat=True))
    return kept


def sentence(rule: AlertRule) -> str:
    """`Share of checks denied above 30 % over 15 minutes`."""
    try:
        measure = measures.find(rule.measure)
    except KeyError:
        return f"“{rule.measure}” is not measured here any more"
    over = f" over {rule.window_minutes} minute{'' if rule.window_minutes == 1 else 's'}" if measure.windowed else ""
    return f"{measure.label} above {measures.written(rule.threshold, measure.unit)}{over}"


def is_muted(rule: AlertRule, now: datetime) -> bool:
    return rule.muted_until is not None and now < rule.muted_until


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    if unknown := fields.keys() - set(FIELDS):
        raise TypeError(f"a rule's {', '.join(sorted(unknown))} cannot be set here")
    return fields


def _check(rule: AlertRule) -> None:
    rule.name = clean_name(rule.name, 80)
    wrong: dict[str, str] = {}
    try:
        measure = measures.find(rule.measure)
    except KeyError:
        raise ValidationError({"measure": "There is no such measure."}) from None
    if not rule.name:
        wrong["name"] = "Give it a name."
    if not math.isfinite(rule.threshold) or rule.threshold < 0:
        wrong["threshold"] = "A number, zero or more."
    elif measure.unit == "share" and rule.threshold >= 1:
        wrong["threshold"] = "A share lies below 1: 0.3 is 30 %."
    if not 1 <= rule.window_minutes <= LONGEST_WINDOW:
        wrong["window_minutes"] = f"Between 1 and {LONGEST_WINDOW:,} minutes."
    if rule.severity not in AlertRule.Severity.values:
        wrong["severity"] = f"One of {', '.join(AlertRule.Severity.values)}."
    if wrong:
        raise ValidationError(wrong)


def _routes(rule: AlertRule, channels: Iterable[uuid.UUID]) -> list[Channel]:
    wanted = set(channels)
    found = list(Channel.objects.filter(organization=rule.organization, mode=rule.mode, id__in=wanted))
    if len(found) < len(wanted):
        raise ValidationError({"channels": "There is no such channel in this mode."})
    return found


def _save(rule: AlertRule, **how: Any) -> None:
    try:
        with transaction.atomic():
            rule.save(**how)
    except IntegrityError as error:
        raise ValidationError({"name": "Another rule has this name."}) from error


def _locked(rule: AlertRule, by: By) -> AlertRule:
    check_by(by, rule.organization, "settings:write")
    return AlertRule.objects.select_for_update(of=("self",)).select_related("organization").get(pk=rule.pk)


def _record(verb: str, rule: AlertRule, by: By, **data: Any) -> None:
    target = show_id("alr", rule.pk)
    tell(f"alert_rule:{verb}", organization=rule.organization, by=by, target=target, named=rule.name, **data)
