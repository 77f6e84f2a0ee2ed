"""/api/alert-rules and /api/alerts: what fires when something is out of bounds, and what did."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from audit.ids import read_id, show_id
from notifications import models as rows
from notifications.alerts import rules as services
from warden.api import finding
from warden.api.answers import Moment
from warden.api.bodies import Line, Mode, Severity
from warden.api.endpoint import Call, endpoint
from warden.api.errors import Failure


class AlertRulesQuery(Struct, forbid_unknown_fields=True):
    mode: Mode = "live"


class AlertsQuery(Struct, forbid_unknown_fields=True):
    mode: Mode = "live"
    firing: bool = False
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    after: Annotated[str | None, Meta(description="The id of the last one you have; older ones follow.")] = None


class ChangeAlertRule(Struct, forbid_unknown_fields=True):
    name: Line | UnsetType = UNSET
    measure: Annotated[Line, Meta(examples=["denial_rate"])] | UnsetType = UNSET
    threshold: Annotated[float, Meta(ge=0, description="Fires above it. 0.3 is 30 %.")] | UnsetType = UNSET
    window_minutes: Annotated[int, Meta(ge=1, le=1_440)] | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET
    channels: (
        Annotated[list[Line], Meta(max_length=50, description="Names; none: the owners and admins, by mail.")]
        | UnsetType
    ) = UNSET
    is_active: bool | UnsetType = UNSET
    muted_until: Moment | UnsetType | None = UNSET


class NewAlertRule(ChangeAlertRule, kw_only=True):
    name: Line
    measure: Annotated[Line, Meta(examples=["denial_rate"])]
    threshold: Annotated[float, Meta(ge=0, description="Fires above it. 0.3 is 30 %.")]
    mode: Mode = "live"


class AlertRule(Struct):
    id: str
    mode: Mode
    name: str
    measure: str
    threshold: float
    window_minutes: int
    severity: Severity
    channels: Annotated[list[str], Meta(description="Names; none: the owners and admins, by mail.")]
    is_active: bool
    muted_until: Moment | None
    created_at: Moment


class Alert(Struct):
    """One time that a rule fired."""

    id: str
    rule_id: str
    rule: Annotated[str, Meta(description="The rule's name.")]
    severity: Severity
    value: Annotated[float, Meta(description="When last above the threshold.")]
    worst: float
    fired_at: Moment
    resolved_at: Annotated[Moment | None, Meta(description="null: it fires now.")]


@endpoint("GET", "alert-rules", "settings:read")
def list_alert_rules(call: Call, query: AlertRulesQuery) -> list[AlertRule]:
    """List alert rules."""
    found = rows.AlertRule.objects.filter(organization=call.organization, mode=query.mode)
    return [_shown_rule(row) for row in found.prefetch_related("channels")]


@endpoint("POST", "alert-rules", "settings:write", 201)
def create_alert_rule(call: Call, body: NewAlertRule) -> AlertRule:
    """Create an alert rule."""
    given = _given(call, body, body.mode)
    given.pop("mode", None)
    row = services.create(organization=call.organization, mode=body.mode, by=call.membership, **given)
    return _shown_rule(rows.AlertRule.objects.get(pk=row.pk))


@endpoint("PUT", "alert-rules/{alert_rule_id}", "settings:write")
def change_alert_rule(call: Call, alert_rule_id: str, body: ChangeAlertRule) -> AlertRule:
    """Change an alert rule. An alert of it that fires is judged anew at the next look."""
    row = _find(call, alert_rule_id)
    services.change(rule=row, by=call.membership, **_given(call, body, row.mode))
    return _shown_rule(rows.AlertRule.objects.get(pk=row.pk))


@endpoint("DELETE", "alert-rules/{alert_rule_id}", "settings:write", 204)
def delete_alert_rule(call: Call, alert_rule_id: str) -> None:
    """Delete an alert rule and the list of its alerts. The record keeps both."""
    services.delete(rule=_find(call, alert_rule_id), by=call.membership)


@endpoint("GET", "alerts", "settings:read")
def list_alerts(call: Call, query: AlertsQuery) -> list[Alert]:
    """List alerts, newest first. `firing` leaves out what is resolved."""
    mine = rows.Alert.objects.filter(rule__organization=call.organization, rule__mode=query.mode)
    found = mine.select_related("rule")
    if query.firing:
        found = found.filter(resolved_at=None)
    if query.after is not None:
        after = read_id("alt", query.after)
        if after is None:
            raise Failure(422, "after: not the id of an alert")
        found = found.filter(id__lt=after)
    return [_shown(row) for row in found.order_by("-id")[: query.limit]]


def _find(call: Call, text: str) -> rows.AlertRule:
    found = rows.AlertRule.objects.filter(organization=call.organization).select_related("organization")
    return finding.one(found, "alr", text, "Alert rule")


def _given(call: Call, body: ChangeAlertRule, mode: str) -> dict[str, Any]:
    """The fields that the caller named; channels by their names. Raises Failure (422)."""
    given = finding.given(body)
    if "channels" in given:
        wanted = set(given["channels"])
        named = rows.Channel.objects.filter(organization=call.organization, mode=mode, name__in=wanted)
        found = dict(named.values_list("name", "pk"))
        if missing := sorted(wanted - found.keys()):
            raise Failure(422, f"channels: there is no {missing[0]} in {mode} mode")
        given["channels"] = list(found.values())
    return given


def _shown_rule(row: rows.AlertRule) -> AlertRule:
    return AlertRule(
        id=show_id("alr", row.id),
        mode=row.mode,  # type: ignore[arg-type]
        name=row.name,
        measure=row.measure,
        threshold=row.threshold,
        window_minutes=row.window_minutes,
        severity=row.severity,  # type: ignore[arg-type]
        channels=sorted(channel.name for channel in row.channels.all()),
        is_active=row.is_active,
        muted_until=row.muted_until,
        created_at=row.created_at,
    )


def _shown(row: rows.Alert) -> Alert:
    return Alert(
        id=show_id("alt", row.id),
        rule_id=show_id("alr", row.rule_id),
        rule=row.rule.name,
        severity=row.rule.severity,  # type: ignore[arg-type]
        value=row.value,
        worst=row.worst,
        fired_at=row.fired_at,
        resolved_at=row.resolved_at,
    )
