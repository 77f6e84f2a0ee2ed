"""One request: a page of its own, or the reading pane of the inbox, at the same address."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from accounts import stepup
from accounts.access import requires
from agents.assurance import BROWSER, STEPUP, is_enough
from approvals import rules, shown, terms
from approvals.dossier import dossier
from approvals.models import Approval
from approvals.views.grants import offered
from audit.clock import database_now
from audit.ids import read_id


def find(request: HttpRequest, apr_id: str) -> Approval:
    """The approval of that id in this organization and mode. Raises Http404 for everything else."""
    approval_id = read_id("apr", apr_id)
    if approval_id is None:
        raise Http404
    scope = Approval.objects.filter(organization=request.organization, mode=request.mode)  # type: ignore[attr-defined]
    try:
        return scope.select_related("agent").get(id=approval_id)
    except Approval.DoesNotExist:
        raise Http404 from None


def in_inbox(request: HttpRequest) -> bool:
    """Whether the fragment asked for goes into the reading pane beside the list."""
    address: str = (request.htmx.current_url_abs_path or "") if request.htmx else ""  # type: ignore[attr-defined]
    return address.partition("?")[0] == reverse("inbox")


def assurance_of(request: HttpRequest) -> str:
    """How sure it is that this person sits at the browser."""
    return STEPUP if stepup.is_fresh(request, database_now()) else BROWSER


def show(
    request: HttpRequest,
    approval: Approval,
    *,
    status: int = 200,
    verdict: rules.Verdict | None = None,
    **more: Any,
) -> HttpResponse:
    """The request as a page, or as a fragment of one; with `verdict`, the form for it is open."""
    membership, now = request.membership, database_now()  # type: ignore[attr-defined]
    rule = rules.Rule.read(approval.rule)
    since = more.pop("since", now)
    seconds = rule.reading_seconds(approval.risk)
    back = reverse(f"approvals:{verdict}", args=[approval.approval_id]) if verdict else ""
    read = dossier(approval, membership, now)
    facts = {
        "dossier": read,
        "in_inbox": in_inbox(request),
        "now": now,
        "needs_reason": verdict is not None and rule.needs_reason(verdict),
        "needs_typing": verdict == "approve" and rule.needs_typing(approval.risk),
        "shown": shown.seal(approval, membership.user_id, since) if seconds else "",
        "reading_seconds": seconds if verdict == "approve" else 0,
        "needs_factor": verdict is not None and not is_enough(assurance_of(request), rule.assurance),
        "way_to_factor": stepup.way_to(request, back) if verdict and rule.assurance == STEPUP else "",
        "verdict": verdict,
        **({} if read.own else _grantable(approval, rule, verdict, more.get("posted"))),
        "may_read_logs": membership.may("logs:read"),
        **more,
    }
    template = "approvals/_approval.html" if request.htmx else "approvals/detail.html"  # type: ignore[attr-defined]
    return render(request, template, facts, status=status)


def _grantable(approval: Approval, rule: rules.Rule, verdict: str | None, posted: Any) -> dict[str, Any]:
    """What the form to approve offers of a grant: nothing where there can be none. At first all stays."""
    if approval.is_covered or verdict != "approve" or terms.why_not(rule, approval.risk):
        return {}
    names = terms.fields(approval.context_data)
    kept = {name: posted is None or bool(posted.get(f"same:{name}")) for name in names}
    granting = bool(posted and posted.get("grant"))
    grantable = [(name, names[name], kept[name]) for name in names]
    return {"grantable": grantable, "granting": granting, "may_grant": True, **offered(approval, posted)}


@require_safe
@never_cache
@vary_on_headers("HX-Request")
@requires("approvals:read")
def detail(request: HttpRequest, apr_id: str) -> HttpResponse:
    return show(request, find(request, apr_id))


@require_POST
@never_cache
@requires("approvals:read")
def grant_words(request: HttpRequest, apr_id: str) -> HttpResponse:
    """The fragment of the form to approve that says what the terms would allow, while somebody fills them in."""
    return render(request, "approvals/_grant_words.html", offered(find(request, apr_id), request.POST))


@require_safe
@never_cache
@requires("approvals:read")
def context(request: HttpRequest, apr_id: str) -> HttpResponse:
    """The context, byte for byte as it was stored and hashed."""
    approval = find(request, apr_id)
    answer = HttpResponse(approval.context, content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="{approval.approval_id}.json"'
    return answer
