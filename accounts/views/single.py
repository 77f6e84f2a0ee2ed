"""One person is enough: an owner gives up that two are needed, and takes it back."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.access import requires
from accounts.forms.organization import SingleForm
from accounts.requests import MemberRequest
from accounts.services import organizations
from accounts.views.answers import status_of, told, told_in


@requires("owners:write")
def single(request: MemberRequest) -> HttpResponse:
    """Asks for the organization's slug, then gives it up."""
    form = SingleForm(request.POST or None, slug=request.organization.slug)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            organizations.begin_single_operator(
                organization=request.organization, by=request.membership, typed=form.cleaned_data["typed"]
            )
            messages.warning(request, "One person is enough from now on. Every page says so.")
            return redirect("accounts:organization")
    return render(request, "accounts/single.html", {"form": form}, status=status_of(form))


@require_POST
@requires("settings:write")
def single_end(request: MemberRequest) -> HttpResponse:
    with told(request, "Two people are needed again, for what waits too."):
        organizations.end_single_operator(organization=request.organization, by=request.membership)
    return redirect("accounts:organization")
