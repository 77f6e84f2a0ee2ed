"""Break-glass in the browser, and nowhere else: two steps to use it, a list, and the sign-off by owners."""

from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import stepup
from accounts.access import requires
from accounts.models import User
from accounts.requests import MemberRequest
from accounts.rules import Refused
from accounts.services.break_glass import other_owners
from agents.assurance import STEPUP
from approvals import rules
from approvals.dossier import dossier
from approvals.glass import services
from approvals.models import Approval, BreakGlass
from approvals.views.detail import assurance_of, find
from audit.clock import database_now
from audit.ids import read_id

PAST = 50


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires("approvals:decide")
def use(request: HttpRequest, apr_id: str) -> HttpResponse:
    """Asks why; POST shows once more what would be allowed, and with `sure` and its name typed out allows it."""
    approval = find(request, apr_id)
    sent = request.POST if request.method == "POST" else None
    digest = (sent or request.GET).get("digest", approval.digest)
    asked: dict[str, Any] = {
        "by": cast(User, request.user),
        "organization": request.organization,  # type: ignore[attr-defined]
        "digest": digest,
        "assurance": assurance_of(request),
    }
    facts: dict[str, Any] = {"digest": digest, "reason": sent.get("reason", "").strip() if sent else ""}
    facts["typed"] = sent.get("typed", "") if sent else ""
    try:
        services.check(approval, **asked)
        if sent and facts["reason"] and not sent.get("sure"):
            return _form(request, approval, sure=True, **facts)
        if not sent:
            return _form(request, approval, **facts)
        facts["sure"] = bool(facts["reason"])
        allowed = services.break_glass(approval_id=approval.id, reason=facts["reason"], typed=facts["typed"], **asked)
    except rules.Refused as refused:
        return _form(request, find(request, apr_id), status=refused.status, refused=refused, **facts)
    messages.warning(request, "Allowed outside its rule. Every owner is told now, and one has to sign it off.")
    return redirect("approvals:detail", allowed.approval_id)


def _form(request: HttpRequest, approval: Approval, *, status: int = 200, **facts: Any) -> HttpResponse:
    needs_factor = assurance_of(request) != STEPUP
    back = reverse("approvals:glass", args=[approval.approval_id])
    facts |= {
        "dossier": dossier(approval, request.membership, database_now()),  # type: ignore[attr-defined]
        "needs_factor": needs_factor,
        "way_to_factor": stepup.way_to(request, back) if needs_factor else "",
        "nav": "inbox",
    }
    return render(request, "glass/use.html", facts, status=status)


@require_safe
@never_cache
@requires("settings:read")
def broken(request: MemberRequest) -> HttpResponse:
    """What is to be signed off, what was, and who may do it."""
    rows = BreakGlass.objects.filter(organization=request.organization, mode=request.mode).select_related("approval")
    members = request.organization.memberships.filter(breaks_glass=True).select_related("user")
    facts = {
        "due": rows.filter(signed_at=None).order_by("due_at"),
        "past": rows.filter(signed_at__isnull=False).order_by("-id")[:PAST],
        "members": members,
        "may_sign": request.membership.may("owners:write"),
        "now": database_now(),
        "nav": "settings",
    }
    return render(request, "glass/list.html", facts)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires("settings:read")
def sign(request: MemberRequest, brk_id: str) -> HttpResponse:
    """What was allowed, by whom and why; owners say whether it was justified."""
    row = _find(request, brk_id)
    facts: dict[str, Any] = {"note": request.POST.get("note", ""), "verdict": request.POST.get("verdict", "")}
    if request.method == "POST" and not request.membership.may("owners:write"):
        raise PermissionDenied("Only owners sign it off.")
    if request.method == "POST":
        try:
            if facts["verdict"] not in (BreakGlass.JUSTIFIED, BreakGlass.UNJUSTIFIED):
                raise Refused("Say whether it was justified.")
            services.sign(
                broken=row,
                by=request.membership,
                justified=facts["verdict"] == BreakGlass.JUSTIFIED,
                note=facts["note"],
                typed=request.POST.get("typed", ""),
            )
        except Refused as refused:
            facts["refused"] = str(refused)
        else:
            messages.success(request, "Signed off. The record keeps it.")
            return redirect("glass:list")
    own = row.user_id == request.membership.user_id
    others = other_owners(request.membership) if own else []
    facts |= {
        "broken": row,
        "may_sign": request.membership.may("owners:write") and not row.signed_at and not others,
        "others": others,
        "types": own and not others,
        "now": database_now(),
        "nav": "settings",
    }
    return render(request, "glass/sign.html", facts, status=422 if facts.get("refused") else 200)


def _find(request: MemberRequest, brk_id: str) -> BreakGlass:
    """The one of that id in this organization and mode. Raises Http404 for everything else."""
    rows = BreakGlass.objects.filter(organization=request.organization, mode=request.mode)
    row = rows.select_related("approval", "instead_of", "organization").filter(pk__in=[read_id("brk", brk_id)]).first()
    if row is None:
        raise Http404
    return row
