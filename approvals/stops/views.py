"""The kill switch's page: what stands still now, stopping, the two steps of a release, and what was stopped before."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.views.answers import status_of, told, told_in
from agents.models import Stop
from approvals.models import Approval
from approvals.stops import freezing, services
from approvals.stops.forms import AskForm, ConfirmForm, StopForm
from audit.ids import read_id

PAST = 20


def find(request: MemberRequest, stop_id: str) -> Stop:
    """The stop of that id in this organization. Raises Http404 for everything else."""
    rows = Stop.objects.filter(organization=request.organization).select_related("organization", "agent")
    row = rows.filter(pk__in=[read_id("stp", stop_id)]).first()
    if row is None:
        raise Http404
    return row


@require_safe
@requires("agents:read")
def stops(request: MemberRequest) -> HttpResponse:
    """What stands still now, how many requests with it, and what did before. Everybody may look."""
    past = Stop.objects.filter(organization=request.organization, released_at__isnull=False)
    facts = {
        "rows": [_row(request, stop) for stop in freezing.active(request.organization)],
        "past": past.select_related("agent").order_by("-released_at")[:PAST],
        "may_write": request.membership.may(services.ABILITY),
        "nav": "settings",
    }
    return render(request, "stops/list.html", facts)


def _row(request: MemberRequest, stop: Stop) -> dict[str, Any]:
    held = Approval.objects.filter(freezing.held_by(stop), mode=request.mode)
    return {
        "stop": stop,
        "waiting": held.filter(state="pending").count(),
        "others": services.others_than_asked(stop, request.membership),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@requires(services.ABILITY)
def stop_new(request: MemberRequest) -> HttpResponse:
    """Asks what and why, then stops it."""
    given = {"agent": request.GET.get("agent", ""), "pattern": request.GET.get("pattern", "")}
    posted = request.POST if request.method == "POST" else None
    form = StopForm(posted, organization=request.organization, initial=given)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            row = services.stop(organization=request.organization, by=request.membership, **form.values())
            messages.warning(request, f"Stopped: {row.words}. Checks are denied from this moment on.")
            return redirect("stops:list")
    return render(request, "stops/new.html", {"form": form, "nav": "settings"}, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
@requires(services.ABILITY)
def stop_ask(request: MemberRequest, stop_id: str) -> HttpResponse:
    """The first step of a release."""
    row = find(request, stop_id)
    form = AskForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            services.ask(stop=row, by=request.membership, reason=form.cleaned_data["reason"])
            messages.success(request, "Asked for. It stands still until the release is confirmed.")
            return redirect("stops:list")
    facts = {"stop": row, "form": form, "nav": "settings"}
    return render(request, "stops/ask.html", facts, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
@requires(services.ABILITY)
def stop_release(request: MemberRequest, stop_id: str) -> HttpResponse:
    """The second step: by somebody else, or by typing what goes on."""
    row = find(request, stop_id)
    if row.released_at or not row.asked_at:
        return redirect("stops:list")
    others = services.others_than_asked(row, request.membership)
    types = services.needs_typing(row, request.membership)
    form = ConfirmForm(request.POST if request.method == "POST" else None, types=types and not others)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            services.release(stop=row, by=request.membership, typed=form.cleaned_data["typed"])
            messages.success(request, f"Released: {row.words}. Deadlines moved by as long as they stood still.")
            return redirect("stops:list")
    facts = {"stop": row, "form": form, "others": others, "types": types, "nav": "settings"}
    return render(request, "stops/release.html", facts, status=status_of(form))


@require_POST
@requires(services.ABILITY)
def stop_keep(request: MemberRequest, stop_id: str) -> HttpResponse:
    """Takes back that a release was asked for."""
    with told(request, "It stays stopped."):
        services.keep(stop=find(request, stop_id), by=request.membership)
    return redirect("stops:list")
