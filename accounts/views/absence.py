"""One's own absence: say so, name who decides meanwhile, call it off."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts.access import requires
from accounts.forms.absence import AbsenceForm
from accounts.models import Delegation
from accounts.requests import MemberRequest
from accounts.services import delegations
from accounts.views.answers import status_of, told, told_in
from audit.clock import database_now


@requires("approvals:decide")
def absence(request: MemberRequest) -> HttpResponse:
    """What one has said, who lends one a vote, and a form."""
    member, now = request.membership, database_now()
    form = AbsenceForm(request.POST if request.method == "POST" else None, member=member)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        with told_in(form):
            delegations.create(
                member=member,
                starts_at=data["starts_at"],
                ends_at=data["ends_at"],
                delegates=data["delegates"],
                note=data["note"],
                by=member,
            )
            messages.success(request, "Saved. What is decided in your name says so.")
            return redirect("accounts:absence")
    context = {
        "form": form,
        "now": now,
        "own": delegations.current(member, now),
        "lent": delegations.running(request.organization, now)
        .filter(delegates=member)
        .select_related("delegator__user"),
    }
    return render(request, "accounts/absence.html", context, status=status_of(form))


@require_POST
@requires("approvals:decide")
def absence_end(request: MemberRequest, pk: UUID) -> HttpResponse:
    row = get_object_or_404(Delegation.objects.select_related("organization"), pk=pk, delegator=request.membership)
    with told(request, "Called off. What was decided meanwhile stays decided."):
        delegations.end(delegation=row, by=request.membership)
    return redirect("accounts:absence")
