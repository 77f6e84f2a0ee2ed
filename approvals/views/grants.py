"""Grants: what there is, what came of each, and ending one."""

from decimal import Decimal, InvalidOperation
from typing import Any, cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import requires
from accounts.models import User
from agents.policy import plain
from approvals import grants, rules
from approvals.models import Approval, Grant
from approvals.terms import Terms, check, fields, words
from audit.clock import database_now
from audit.ids import read_id
from audit.models import Event

SHOWN = 200
USED = "agent:grant:use"
AT_FIRST = {"grant_minutes": "60", "grant_uses": "5"}


def read_terms(sent: Any, context: dict[str, Any]) -> Terms | None:
    """The grant that a form asks for; None where it asks for none. Raises rules.Incomplete."""
    return typed_terms(sent, context) if sent.get("grant") else None


def typed_terms(sent: Any, context: dict[str, Any]) -> Terms:
    """The terms as they stand in a form. Raises rules.Incomplete."""
    same = frozenset(name for name in fields(context) if sent.get(f"same:{name}"))
    return Terms(
        minutes=_whole(sent, "grant_minutes"),
        uses=_whole(sent, "grant_uses"),
        each=_amount(sent, "grant_each"),
        total=_amount(sent, "grant_total"),
        same=same,
    )


def offered(approval: Approval, sent: Any) -> dict[str, str]:
    """What the terms in a form would allow, as a sentence, or why they will not do. `sent` None: those at first."""
    context = approval.context_data
    if sent is None:
        amount = {} if approval.amount is None else dict.fromkeys(("grant_each", "grant_total"), plain(approval.amount))
        sent = AT_FIRST | amount | {f"same:{name}": "1" for name in fields(context)}
    try:
        terms = typed_terms(sent, context)
        check(
            rules.Rule.read(approval.rule).widened(approval.escalated), approval.risk, approval.amount, context, terms
        )
    except rules.Refused as refused:
        return {"grant_wrong": refused.reason}
    said = words(
        agent=approval.agent_slug, action=approval.action, terms=terms, context=context, currency=approval.currency
    )
    return {"grant_words": said}


def _whole(sent: Any, name: str) -> int:
    text = sent.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def _amount(sent: Any, name: str) -> Decimal | None:
    text = sent.get(name, "").strip()
    if not text:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        raise rules.Incomplete(f"“{text[:60]}” is not an amount.", "grant_terms") from None


def _find(request: HttpRequest, grt_id: str) -> Grant:
    grant_id = read_id("grt", grt_id)
    scope = Grant.objects.filter(organization=request.organization, mode=request.mode)  # type: ignore[attr-defined]
    found = scope.select_related("approval", "agent").filter(id=grant_id).first() if grant_id else None
    if found is None:
        raise Http404
    return found


@require_safe
@never_cache
@requires("approvals:read")
def grant_list(request: HttpRequest) -> HttpResponse:
    """Every grant of this organization and mode, newest first; of one agent where `agent` names it."""
    now = database_now()
    rows = Grant.objects.filter(organization=request.organization, mode=request.mode)  # type: ignore[attr-defined]
    if agent := request.GET.get("agent", "").replace("\0", ""):
        rows = rows.filter(agent_slug=agent)
    found = list(rows.select_related("agent").order_by("-id")[:SHOWN])
    idle = grants.idle(row for row in found if row.state(now) == "active")
    listed = [(row, row.state(now), row.id in idle) for row in found]
    return render(request, "approvals/grants.html", {"grants": listed, "agent": agent, "nav": "inbox"})


@require_safe
@never_cache
@requires("approvals:read")
def grant_detail(request: HttpRequest, grt_id: str) -> HttpResponse:
    """One grant, with each of its uses."""
    grant = _find(request, grt_id)
    uses = Event.objects.filter(organization_id=grant.organization_id, target=grant.grant_id, kind=USED)
    state = grant.state(database_now())
    facts = {
        "grant": grant,
        "state": state,
        "idle": state == "active" and bool(grants.idle([grant])),
        "uses": uses.order_by("-at", "-id")[:SHOWN],
        "may_revoke": request.membership.may("approvals:decide"),  # type: ignore[attr-defined]
        "may_read_logs": request.membership.may("logs:read"),  # type: ignore[attr-defined]
        "nav": "inbox",
    }
    return render(request, "approvals/grant.html", facts)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@requires("approvals:decide")
def grant_revoke(request: HttpRequest, grt_id: str) -> HttpResponse:
    """Asks whether to end it; then ends it."""
    grant, refused = _find(request, grt_id), None
    if request.method == "POST":
        try:
            grants.revoke(
                grant_id=grant.id,
                by=cast(User, request.user),
                organization=request.organization,  # type: ignore[attr-defined]
                reason=request.POST.get("reason", ""),
            )
        except rules.Refused as error:
            refused = error
        else:
            messages.success(request, "Revoked. The next request of this kind waits for a person again.")
            return redirect("grants:detail", grant.grant_id)
    facts = {"grant": grant, "refused": refused, "reason": request.POST.get("reason", ""), "nav": "inbox"}
    return render(request, "approvals/grant_revoke.html", facts, status=refused.status if refused else 200)
