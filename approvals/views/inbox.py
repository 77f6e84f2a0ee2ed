"""The list of requests beside the one that is read."""

from datetime import datetime
from typing import Any

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.access import requires
from approvals import states
from approvals.dossier import dossier
from approvals.inbox import VIEWS, WINDOW, Choice, Desk, Filters, patience
from approvals.models import Approval, Comment, Review
from approvals.rows import rows
from approvals.together import MOST
from audit.clock import database_now
from audit.ids import read_id

CHANGES = 100


@require_safe
@never_cache
@requires("approvals:read")
def inbox(request: HttpRequest) -> HttpResponse:
    """The list, and the request that `open` names beside it."""
    now = database_now()
    desk = _desk(request, now)
    facts: dict[str, Any] = {"filters": desk.filters, "views": _views(desk, {}), "now": now, "nav": "inbox"}
    status = 200
    try:
        with patience():
            facts |= _list(request, desk)
    except OperationalError:
        facts["failed"], status = True, 503
    if approval := _open(request):
        facts["dossier"] = dossier(approval, request.membership, now)  # type: ignore[attr-defined]
        facts |= {"in_inbox": True, "may_read_logs": request.membership.may("logs:read")}  # type: ignore[attr-defined]
    return render(request, "approvals/inbox.html", facts, status=status)


@require_safe
@never_cache
@requires("approvals:read")
def live(request: HttpRequest) -> HttpResponse:
    """What changed since `since` (ISO 8601): how many came to this list, how many wait in all, and which ended.

    With `only` (an approval's id), how often that one changed.
    """
    since = parse_datetime(request.GET.get("since", "").replace(" ", "+")) if request.GET.get("since") else None
    if since is None or since.tzinfo is None:
        return JsonResponse({"detail": "since must be a time with its zone, in ISO 8601"}, status=400)
    desk = _desk(request, database_now())
    ended = desk.everything.filter(decided_at__gt=since).exclude(state=states.PENDING).order_by("-decided_at")
    with patience():
        if "only" in request.GET:
            one = desk.everything.filter(pk__in=filter(None, [read_id("apr", request.GET["only"])]))
            votes = Review.objects.filter(approval__in=one, created_at__gt=since).count()
            said = Comment.objects.filter(approval__in=one, created_at__gt=since).count()
            new = (votes or ended.filter(pk__in=one).count()) + said
            return JsonResponse({"new": new, "waiting": desk.waiting.count()})
        return JsonResponse(
            {
                "new": desk.came_since(since),
                "waiting": desk.waiting.count(),
                "ended": {
                    each.approval_id: render_to_string("approvals/_state.html", {"state": each.state}).strip()
                    for each in ended.only("id", "state")[:CHANGES]
                },
            }
        )


def _desk(request: HttpRequest, now: datetime) -> Desk:
    membership = request.membership  # type: ignore[attr-defined]
    default = "mine" if membership.may("approvals:decide") else "waiting"
    return Desk(membership, request.mode, now, Filters.read(request.GET, default))  # type: ignore[attr-defined]


def _list(request: HttpRequest, desk: Desk) -> dict[str, Any]:
    page, counts = desk.page(), desk.counts()
    facts: dict[str, Any] = {
        "page": page,
        "bounded": desk.bounded,
        "window": WINDOW,
        "rows": rows(page.approvals, desk.membership, desk.now),
        "facets": _facets(request, desk) if desk.filters.facets or desk.filters.faceted else None,
        "counts": counts,
        "views": _views(desk, counts),
    }
    several = [each.approval.approval_id for each in facts["rows"] if not each.why_not_together]
    if len(several) > 1:
        facts["together"] = [("id", each) for each in several[:MOST]]
    if not page.approvals:
        facts["last"] = desk.everything.exclude(state=states.PENDING).order_by("-decided_at").first()
        facts["ever"] = facts["last"] or desk.everything.exists()
    return facts


def _views(desk: Desk, counts: dict[str, int]) -> list[tuple[str, str, int | None]]:
    shown = [name for name in VIEWS if name != "mine" or desk.membership.may("approvals:decide")]
    return [(name, VIEWS[name], counts.get(name)) for name in shown]


def _facets(request: HttpRequest, desk: Desk) -> list[tuple[str, list[tuple[Choice, str]]]]:
    """Each facet's choices, each with the address that takes it, or takes it back."""

    def address(name: str, choice: Choice) -> str:
        query = request.GET.copy()
        for stale in (name, "after", "before", "open"):
            query.pop(stale, None)
        query["facets"] = "1"
        if not choice.chosen:
            query[name] = choice.value
        return f"?{query.urlencode()}"

    return [(name, [(choice, address(name, choice)) for choice in found]) for name, found in desk.facets().items()]


def _open(request: HttpRequest) -> Approval | None:
    approval_id = read_id("apr", request.GET.get("open", ""))
    if approval_id is None:
        return None
    scope = Approval.objects.filter(organization=request.organization, mode=request.mode)  # type: ignore[attr-defined]
    return scope.select_related("agent").filter(id=approval_id).first()
