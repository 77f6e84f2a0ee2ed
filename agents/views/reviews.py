"""Permission reviews: which are due, going through one, signing it, its record."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_POST

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.rules import Refused
from agents.models import Agent, PermissionReview
from agents.review import due, review
from agents.review_record import SUBJECTS, VERDICTS, markdown, pdf
from agents.services import reviews
from agents.views.finding import agents_of, find_agent
from audit.clock import database_now
from audit.ids import read_id

SOON = timedelta(days=14)
PAGE = 25
BUTTONS = {"keep": ("check", "Keep"), "narrow": ("fold-horizontal", "Narrow"), "remove": ("trash-2", "Remove")}


@dataclass(frozen=True, slots=True)
class Row:
    """One agent of the list: when its review is due, and how much there is to look at."""

    agent: Agent
    due_at: datetime
    state: str  # overdue, soon, later
    findings: int
    open: PermissionReview | None


@requires("agents:read")
def review_list(request: MemberRequest) -> HttpResponse:
    """Every agent, what is due first; below, what was signed."""
    now = database_now()
    counts: dict[UUID, int] = {}
    for finding in review(request.organization):
        if finding.agent:
            counts[finding.agent.pk] = counts.get(finding.agent.pk, 0) + 1
    found = PermissionReview.objects.filter(organization=request.organization).select_related("agent", "signed_by")
    begun = {each.agent_id: each for each in found.filter(signed_at=None, agent__deleted_at=None)}
    rows = [
        Row(agent, due(agent), _state(due(agent), now), counts.get(agent.pk, 0), begun.get(agent.pk))
        for agent in agents_of(request)
    ]
    signed = found.exclude(signed_at=None).order_by("-signed_at")
    context = {
        "rows": sorted(rows, key=lambda row: row.due_at),
        "page": Paginator(signed, PAGE).get_page(request.GET.get("page")),
        "may_write": request.membership.may("agents:write"),
        "nav": "permissions",
    }
    return render(request, "agents/reviews.html", context)


def _state(due_at: datetime, now: datetime) -> str:
    return "overdue" if due_at <= now else "soon" if due_at <= now + SOON else "later"


@require_POST
@requires("agents:write")
def review_start(request: MemberRequest, slug: str) -> HttpResponse:
    """Begins, or goes on with, the review of an agent."""
    try:
        found = reviews.start_review(agent=find_agent(request, slug), by=request.membership)
    except Refused as why_not:
        messages.error(request, str(why_not))
        return redirect("agents:reviews")
    return redirect("agents:review", found.review_id)


@requires("agents:read")
def review_page(request: MemberRequest, review_id: str) -> HttpResponse:
    """What there is to decide and what was decided; signed ones show what was signed."""
    found = find_review(request, review_id)
    return render(request, "agents/review.html", _context(request, found))


@require_POST
@requires("agents:write")
def review_decide(request: MemberRequest, review_id: str, number: int) -> HttpResponse:
    """Keeps, narrows or removes one thing. What is wrong is shown at it, with what was typed."""
    found = find_review(request, review_id)
    item = get_object_or_404(found.items.select_related("review__organization", "review__agent"), pk=number)
    verdict, reason = request.POST.get("verdict", ""), request.POST.get("reason", "")
    error = ""
    try:
        reviews.decide_item(item=item, by=request.membership, verdict=verdict, reason=reason)
    except ValidationError as wrong:
        error = " ".join(wrong.messages)
    except Refused as why_not:
        error = str(why_not)
    if error:
        typed = {"item": number, "reason": reason, "error": error}
        return render(request, "agents/review.html", _context(request, found) | {"typed": typed}, status=422)
    messages.success(request, f"{VERDICTS[verdict]}: {item.name}.")
    if verdict == "narrow":
        tier = read_id("prm", item.target)
        return redirect("agents:tier", found.agent.slug, tier)
    return redirect(f"{redirect('agents:review', review_id).url}#item-{number}")


@require_POST
@requires("agents:write")
def review_sign(request: MemberRequest, review_id: str) -> HttpResponse:
    """Signs."""
    found = find_review(request, review_id)
    try:
        reviews.sign_review(review=found, by=request.membership, notes=request.POST.get("notes", ""))
    except Refused as why_not:
        context = _context(request, found) | {"refused": str(why_not), "notes": request.POST.get("notes", "")}
        return render(request, "agents/review.html", context, status=409)
    messages.success(request, f"Signed. {found.agent.name} counts as audited by you, now.")
    return redirect("agents:review", review_id)


@requires("agents:read")
def review_record(request: MemberRequest, review_id: str, form: str) -> HttpResponse:
    """The record of a signed review, as Markdown or PDF."""
    found = find_review(request, review_id)
    if found.record is None:
        raise Http404
    name = f"review-{found.record['agent']}-{found.record['signed_at'][:10]}.{form}"
    if form == "pdf":
        response = HttpResponse(pdf(found.record), content_type="application/pdf")
    else:
        response = HttpResponse(markdown(found.record), content_type="text/markdown; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def find_review(request: MemberRequest, review_id: str) -> PermissionReview:
    """A review of the organization, or 404."""
    rows = PermissionReview.objects.filter(organization=request.organization)
    return get_object_or_404(
        rows.select_related("organization", "agent__organization", "signed_by", "started_by"),
        pk=read_id("rvw", review_id),
    )


def _context(request: MemberRequest, found: PermissionReview) -> dict[str, Any]:
    may_write = request.membership.may("agents:write") and found.agent.deleted_at is None
    items = list(found.items.select_related("decided_by"))
    groups = []
    for subject, title in SUBJECTS.items():
        mine = [
            {
                "item": item,
                "buttons": [(verdict, *BUTTONS[verdict]) for verdict in reviews.MAY[subject]],
                "needs_reason": bool(item.findings),
                "verdict": VERDICTS.get(item.verdict, ""),
                "tier": read_id("prm", item.target) if subject == "tier" else None,
                "suggestion": urlencode({key: value for key, value in item.suggestion.items() if value}),
            }
            for item in items
            if item.subject == subject
        ]
        if mine:
            groups.append((title, mine))
    return {
        "review": found,
        "agent": found.agent,
        "groups": groups,
        "left": sum(not item.verdict for item in items),
        "all": len(items),
        "may_write": may_write and found.signed_at is None,
        "nav": "permissions",
    }
