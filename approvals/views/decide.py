"""Approve or deny: a form, and what came of it."""

from datetime import datetime
from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from django.views.decorators.vary import vary_on_headers

from accounts.access import requires
from accounts.models import User
from approvals import rules, services, shown, states
from approvals.inbox import Desk, Filters
from approvals.models import Approval
from approvals.views.detail import assurance_of, find, show
from approvals.views.grants import read_terms
from audit.clock import database_now


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@vary_on_headers("HX-Request")
@requires("approvals:read")
def decide(request: HttpRequest, apr_id: str, verdict: rules.Verdict) -> HttpResponse:
    """GET opens the form, POST decides. Whatever refuses, what was typed stays."""
    approval = find(request, apr_id)
    if request.method != "POST":
        return _form(request, approval, verdict)
    reason, digest = request.POST.get("reason", ""), request.POST.get("digest", "")
    typed, changes = request.POST.get("typed", ""), bool(request.POST.get("changes"))
    since = _since(request, approval, request.POST.get("shown", ""))
    try:
        approval = services.review(
            approval_id=approval.id,
            by=cast(User, request.user),
            organization=request.organization,  # type: ignore[attr-defined]
            verdict=verdict,
            reason=reason,
            digest=digest,
            via="browser",
            assurance=assurance_of(request),
            typed=typed,
            changes=changes,
            grant=read_terms(request.POST, approval.context_data) if verdict == "approve" else None,
            shown_at=since,
        )
    except rules.Refused as refused:
        # htmx leaves a 403 out of the page (see base.html), and what was typed has to stay in it.
        status = 409 if request.htmx and refused.status == 403 else refused.status  # type: ignore[attr-defined]
        approval = find(request, apr_id)
        as_it_is = approval.digest if refused.code == "digest" else digest  # the answer shows the request as it is
        kept: dict[str, Any] = {"reason": reason, "typed": typed, "changes": changes, "digest": as_it_is}
        kept |= {"posted": request.POST, "since": _since(request, approval, request.POST.get("shown", ""))}
        return show(request, approval, status=status, refused=refused, verdict=verdict, **kept)
    said = came_to(approval, verdict)
    if not request.htmx:  # type: ignore[attr-defined]
        messages.success(request, said)
        return redirect("approvals:detail", apr_id)
    return show(request, approval, said=said, next=_next(request, approval))


def _form(request: HttpRequest, approval: Approval, verdict: rules.Verdict) -> HttpResponse:
    """The form, carrying the digest of what was read before it was opened; a page opened directly shows it itself."""
    digest = request.GET.get("digest", approval.digest)
    if digest != approval.digest:
        refused = rules.Conflict("This is not the request you were shown. Read it again before you decide.", "digest")
        return show(request, approval, status=409, refused=refused)
    since = _since(request, approval, request.GET.get("shown", ""))
    return show(request, approval, verdict=verdict, digest=digest, since=since)


def _since(request: HttpRequest, approval: Approval, sealed: str) -> datetime:
    """Since when this person has it before them: as the server signed, else from now on."""
    return shown.read(sealed, approval, cast(User, request.user).id) or database_now()


def came_to(approval: Approval, verdict: rules.Verdict) -> str:
    """What this vote did, in a sentence."""
    if approval.state == states.PENDING:
        word = "approval" if verdict == "approve" else "denial"
        return f"Your {word} is recorded. Others have to decide too before it counts."
    if approval.state == states.APPROVED:
        return "Approved. The agent may go on."
    if approval.code == states.CHANGES:
        return "Sent back. The agent is told what has to change, and may ask again."
    if approval.state == states.DENIED:
        return "Denied. The agent is told."
    return f"Your decision is recorded; the request is {approval.state}."


def _next(request: HttpRequest, approval: Approval) -> Approval | None:
    desk = Desk(request.membership, request.mode, database_now(), Filters("mine"))  # type: ignore[attr-defined]
    return desk.next_after(approval)
