"""Alerts: what fires now, what fired before, and the rules."""

from typing import Any

from django.db.models import Case, When
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.views.answers import status_of, told, told_in
from audit.clock import database_now
from audit.ids import read_id, show_id
from notifications.alerts import measures
from notifications.alerts import rules as services
from notifications.alerts.forms import AlertRuleForm
from notifications.models import Alert, AlertRule, Channel

PAGE = 50
WORST_FIRST = Case(When(rule__severity="critical", then=0), When(rule__severity="warning", then=1), default=2)


def find(request: MemberRequest, alr_id: str) -> AlertRule:
    """The rule of that id in this organization and mode. Raises Http404 for everything else."""
    scope = AlertRule.objects.filter(organization=request.organization, mode=request.mode)
    rule = scope.select_related("organization").filter(pk__in=[read_id("alr", alr_id)]).first()
    if rule is None:
        raise Http404
    return rule


@require_safe
@requires("settings:read")
def alerts(request: MemberRequest) -> HttpResponse:
    """What fires now, and below it the history, newest first."""
    found = Alert.objects.filter(rule__organization=request.organization, rule__mode=request.mode)
    found = found.select_related("rule")
    past = found.exclude(resolved_at=None)
    if after := read_id("alt", request.GET.get("after", "")):
        past = past.filter(id__lt=after)
    history = list(past.order_by("-id")[: PAGE + 1])
    facts = {
        "firing_now": [_row(alert) for alert in found.filter(resolved_at=None).order_by(WORST_FIRST, "-id")],
        "history": [_row(alert) for alert in history[:PAGE]],
        "older": show_id("alt", history[PAGE - 1].id) if len(history) > PAGE else "",
        "rules": AlertRule.objects.filter(organization=request.organization, mode=request.mode, is_active=True).count(),
        "now": database_now(),
        "nav": "settings",
    }
    return render(request, "notifications/alerts.html", facts)


@require_safe
@requires("settings:read")
def alert_rules(request: MemberRequest) -> HttpResponse:
    now = database_now()
    rows = AlertRule.objects.filter(organization=request.organization, mode=request.mode).prefetch_related("channels")
    firing = set(Alert.objects.filter(rule__in=rows, resolved_at=None).values_list("rule_id", flat=True))
    facts = {
        "rows": [
            (rule, show_id("alr", rule.pk), services.sentence(rule), services.is_muted(rule, now), rule.pk in firing)
            for rule in rows
        ],
        "may_write": request.membership.may("settings:write"),
        "nav": "settings",
    }
    return render(request, "notifications/alert_rules.html", facts)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def alert_rule_new(request: MemberRequest) -> HttpResponse:
    form = _form(request)
    if request.method == "POST" and form.is_valid():
        with told_in(form), told(request, "The rule is there. It is looked at every few seconds."):
            services.create(
                organization=request.organization, mode=request.mode, by=request.membership, **form.values()
            )
        if form.is_valid():
            return redirect("notifications:alert_rules")
    return render(request, "notifications/alert_rule.html", {"form": form, "nav": "settings"}, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def alert_rule(request: MemberRequest, alr_id: str) -> HttpResponse:
    rule = find(request, alr_id)
    form = _form(request, rule)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            services.change(rule=rule, by=request.membership, **form.values())
        if form.is_valid():
            return redirect("notifications:alert_rules")
    facts = {"rule": rule, "id": alr_id, "form": form, "nav": "settings"}
    return render(request, "notifications/alert_rule.html", facts, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("settings:write")
def alert_rule_delete(request: MemberRequest, alr_id: str) -> HttpResponse:
    """Asks, then deletes."""
    rule = find(request, alr_id)
    if request.method == "POST":
        with told(request, f"The alert rule {rule.name} is deleted."):
            services.delete(rule=rule, by=request.membership)
        return redirect("notifications:alert_rules")
    facts = {"rule": rule, "id": alr_id, "fired": rule.alerts.count(), "nav": "settings"}
    return render(request, "notifications/alert_rule_delete.html", facts)


def _form(request: MemberRequest, rule: AlertRule | None = None) -> AlertRuleForm:
    channels = list(Channel.objects.filter(organization=request.organization, mode=request.mode))
    return AlertRuleForm(
        request.POST if request.method == "POST" else None, channels=channels, now=database_now(), rule=rule
    )


def _row(alert: Alert) -> dict[str, Any]:
    try:
        unit = measures.find(alert.rule.measure).unit
    except KeyError:
        unit = ""
    return {
        "alert": alert,
        "sentence": services.sentence(alert.rule),
        "value": measures.written(alert.value, unit),
        "worst": measures.written(alert.worst, unit),
        "rule_id": show_id("alr", alert.rule_id),
    }
