"""Banned SPIFFE IDs: all of them, ban one, lift a ban."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from accounts.access import requires
from accounts.requests import MemberRequest
from accounts.views.answers import status_of, told, told_in
from agents.forms.banned import BanForm
from agents.models import Agent, BannedIdentity
from agents.services.identities import ban_identity, lift_identity


@requires("agents:read")
def banned(request: MemberRequest) -> HttpResponse:
    """Who may be nobody here, and nobody's callee; for those who may change agents, a form to ban one more."""
    may_write = request.membership.may("agents:write")
    form = BanForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and may_write and form.is_valid():
        with told_in(form):
            row = ban_identity(organization=request.organization, by=request.membership, **form.cleaned_data)
            messages.success(request, f"{row.spiffe_id} is banned from now on, for every process.")
            return redirect("agents:banned")
    rows = list(BannedIdentity.objects.filter(organization=request.organization).select_related("created_by"))
    agents = Agent.objects.filter(organization=request.organization, deleted_at=None)
    having = dict(agents.filter(spiffe_id__in=[row.spiffe_id for row in rows]).values_list("spiffe_id", "slug"))
    context = {
        "rows": [(row, having.get(row.spiffe_id)) for row in rows],
        "form": form,
        "may_write": may_write,
        "nav": "settings",
    }
    return render(request, "agents/banned.html", context, status=status_of(form))


@requires("agents:write")
def banned_lift(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Asks, then lifts the ban."""
    row = get_object_or_404(
        BannedIdentity.objects.select_related("organization"), organization=request.organization, pk=pk
    )
    if request.method == "POST":
        with told(request, f"The ban of {row.spiffe_id} is lifted."):
            lift_identity(identity=row, by=request.membership)
        return redirect("agents:banned")
    context = {
        "title": "Lift the ban?",
        "words": f"{row.spiffe_id} may be somebody here again. Its agent, if any, stays banned until it is activated.",
        "button": "Lift the ban",
        "icon": "undo-2",
        "back": reverse("agents:banned"),
        "nav": "settings",
    }
    return render(request, "agents/confirm.html", context)
