"""What a person is mailed, and when: theirs to say."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.models import Membership
from accounts.requests import MemberRequest
from accounts.views.answers import status_of, told_in
from audit.ids import read_id
from notifications.forms import PreferenceForm, timezones
from notifications.models import Preference
from notifications.services import preferences as services


@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: MemberRequest) -> HttpResponse:
    """Every member may: the role is no matter."""
    if not request.membership:
        return redirect("accounts:no_organization")
    preference = services.preference_of(request.membership)
    form = PreferenceForm(request.POST or None, preference=preference)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            services.change(membership=request.membership, **form.cleaned_data)
            messages.success(request, "Saved.")
            return redirect("notifications:preferences")
    context = {"form": form, "preference": preference, "timezones": timezones()}
    return render(request, "notifications/preferences.html", context, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: MemberRequest, mem_id: str) -> HttpResponse:
    """Where a digest's unsubscribe leads: it asks, and POST ends the digest. Nobody ends another's."""
    mine = Membership.objects.filter(user=request.user).select_related("organization", "user")
    membership = mine.filter(pk__in=[read_id("mem", mem_id)]).first()
    if membership is None:
        raise Http404
    if request.method == "POST":
        services.change(membership=membership, mail=Preference.Mail.NONE)
        messages.success(request, f"You get no more mail of requests at {membership.organization}.")
        return redirect("notifications:preferences")
    return render(request, "notifications/unsubscribe.html", {"of": membership.organization})
