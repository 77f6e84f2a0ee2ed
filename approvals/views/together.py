"""Deciding several of low risk: a page that lists each with its digest, and one that says what came of each."""

import uuid
from typing import Any, cast, get_args

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.access import requires
from accounts.models import User
from approvals import rules, states, together
from approvals.case import cases, person_of
from approvals.models import Approval
from approvals.rows import Row, row
from approvals.views.detail import assurance_of
from audit.clock import database_now
from audit.ids import read_id


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires("approvals:decide")
def decide_together(request: HttpRequest) -> HttpResponse:
    """GET lists what was chosen (`id`); POST decides it (`item`: id and digest, as they were listed)."""
    if request.method != "POST":
        return _listed(request, request.GET.getlist("id"))
    items = [item.partition(":") for item in request.POST.getlist("item")]
    chosen = [(number, digest) for name, _, digest in items if (number := read_id("apr", name))]
    verdict, reason = request.POST.get("verdict", ""), request.POST.get("reason", "").strip()
    if not chosen or verdict not in get_args(rules.Verdict):
        return _listed(request, [name for name, _, _ in items], status=422)
    try:
        outcomes = together.decide(
            chosen=chosen,
            by=cast(User, request.user),
            organization=request.organization,  # type: ignore[attr-defined]
            mode=request.mode,  # type: ignore[attr-defined]
            verdict=cast(rules.Verdict, verdict),
            reason=reason,
            via="browser",
            assurance=assurance_of(request),
        )
    except rules.Incomplete as refused:
        return _listed(request, [name for name, _, _ in items], status=422, refused=refused.reason)
    lines = _rows(request, [outcome.approval for outcome in outcomes])
    done = [line for line, outcome in zip(lines, outcomes, strict=True) if not outcome.refused]
    left = [(line, outcome.refused) for line, outcome in zip(lines, outcomes, strict=True) if outcome.refused]
    facts: dict[str, Any] = {"verdict": verdict, "done": done, "left": left, "reason": reason, "nav": "inbox"}
    facts["ended"] = sum(line.state != states.PENDING for line in done)
    return render(request, "approvals/together_done.html", facts, status=409 if left else 200)


def _listed(request: HttpRequest, names: list[str], *, status: int = 200, refused: str = "") -> HttpResponse:
    """Each that was chosen: to be decided with the others, or why it is not."""
    ids = list(dict.fromkeys(number for name in names if (number := read_id("apr", name))))
    lines = _rows(request, _find(request, ids))
    rows = [line for line in lines if not line.why_not_together]
    now = database_now()
    facts: dict[str, Any] = {
        "rows": rows[: together.MOST],
        "left": [line for line in lines if line.why_not_together],
        "more": len(rows[together.MOST :]),
        "most": together.MOST,
        "refused": refused,
        "reason": request.POST.get("reason", ""),
        "reason_to_approve": any(rules.Rule.read(line.approval.rule).reason_to_approve for line in rows),
        "reason_to_deny": any(rules.Rule.read(line.approval.rule).reason_to_deny for line in rows),
        "now": now,
        "nav": "inbox",
    }
    return render(request, "approvals/together.html", facts, status=status)


def _find(request: HttpRequest, ids: list[uuid.UUID]) -> list[Approval]:
    scope = Approval.objects.filter(organization=request.organization, mode=request.mode)  # type: ignore[attr-defined]
    found = {approval.id: approval for approval in scope.filter(id__in=ids).select_related("agent")}
    return [found[number] for number in ids if number in found]


def _rows(request: HttpRequest, approvals: list[Approval]) -> list[Row]:
    membership, now = request.membership, database_now()  # type: ignore[attr-defined]
    facts = cases(approvals, membership.organization)
    person = person_of(membership.organization_id, membership.user_id)
    return [row(approval, facts[approval.id], person, now) for approval in approvals]
