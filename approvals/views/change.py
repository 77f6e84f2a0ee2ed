"""Changing what a request asks: what may be typed, what it comes to, and then that."""

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from django.views.decorators.vary import vary_on_headers

from accounts.access import requires
from accounts.models import User
from approvals import editing, edits, rules
from approvals.models import Approval
from approvals.rule import Rule
from approvals.views.detail import assurance_of, find, show

PREFIX = "field:"


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@vary_on_headers("HX-Request")
@requires("approvals:read")
def change(request: HttpRequest, apr_id: str) -> HttpResponse:
    """GET opens the form; POST shows what it would come to, and with `sure` does it. What was typed stays."""
    approval = find(request, apr_id)
    rule = Rule.read(approval.rule)
    free = editing.fields(rule, approval.context_data)
    sent = request.POST if request.method == "POST" else None
    typed = {name: sent.get(PREFIX + name, "") if sent else _written(value) for name, value in free.items()}
    digest = (sent or request.GET).get("digest", approval.digest)
    facts: dict[str, Any] = {
        "change": [(name, free[name], typed[name], _kind(free[name])) for name in free],
        "digest": digest,
        "reason": sent.get("reason", "") if sent else "",
    }
    try:
        if not sent:
            rules.check_shown(rules.Case(approval.state, approval.expires_at, approval.digest, rule), digest)
            return show(request, approval, **facts)
        values = {name: editing.read(value, typed[name]) for name, value in free.items()}
        asked: dict[str, Any] = {
            "by": cast(User, request.user),
            "organization": request.organization,  # type: ignore[attr-defined]
            "values": values,
            "digest": digest,
            "assurance": assurance_of(request),
        }
        planned = edits.plan(approval, **asked)
        if not sent.get("sure") or sent.get("becomes") != planned.values["digest"]:  # nobody does what was not shown
            return show(request, approval, planned=planned, **facts)
        approval = edits.edit(approval_id=approval.id, reason=facts["reason"], via="browser", **asked)
    except rules.Refused as refused:
        status = 409 if request.htmx and refused.status == 403 else refused.status  # type: ignore[attr-defined]
        approval = find(request, apr_id)
        if refused.status != 422:  # it is not there to be changed: show what is, without the form
            facts.pop("change")
        return show(request, approval, status=status, refused=refused, **facts)
    return _done(request, approval)


def _done(request: HttpRequest, approval: Approval) -> HttpResponse:
    said = "Changed. The votes so far are void, and somebody else decides it as it is now."
    if approval.by_aap:
        said = "You asked for changes: the agent is told what to ask for instead, and this call does not run."
    if not request.htmx:  # type: ignore[attr-defined]
        messages.success(request, said)
        return redirect("approvals:detail", approval.approval_id)
    return show(request, find(request, approval.approval_id), said=said)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "check"
    return "number" if not isinstance(value, str) else "text" if len(value) <= 80 and "\n" not in value else "long"


def _written(value: Any) -> str:
    """A value as it stands in its input: numbers without a power of ten, yes as 1."""
    if isinstance(value, bool):
        return "1" if value else ""
    return (
        value
        if isinstance(value, str)
        else format(value, "f").rstrip("0").rstrip(".")
        if "e" in str(value)
        else str(value)
    )
