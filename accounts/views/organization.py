"""The organization: settings, leaving it, making another; and the index of all settings."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts import rules
from accounts.access import requires
from accounts.forms.organization import UNITS, NewOrganizationForm, OrganizationForm
from accounts.middleware import ORGANIZATION
from accounts.pages import pages_for
from accounts.requests import MemberRequest
from accounts.services import members, organizations
from accounts.trail import trail_of
from accounts.views.answers import status_of, told, told_in


@requires("agents:read")
def settings_index(request: MemberRequest) -> HttpResponse:
    """Every settings page this member may open."""
    return render(request, "accounts/settings.html", {"pages": pages_for(request.membership), "nav": "settings"})


@requires("settings:read")
def organization(request: MemberRequest) -> HttpResponse:
    """Name, environments, how long answers hold."""
    own = request.organization
    may_write = request.membership.may("settings:write")
    form = OrganizationForm(request.POST if request.method == "POST" else None, organization=own)
    if request.method == "POST" and not may_write:
        raise PermissionDenied(rules.why_not(rules.check_ability, request.membership.role, "settings:write"))
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            organizations.change(organization=own, by=request.membership, **form.changes())
            messages.success(request, "Saved. Checks from now on are answered by it.")
            return redirect("accounts:organization")
    context = {
        "form": form,
        "may_write": may_write,
        "may_make": request.membership.may("owners:write"),
        "cooldown_words": UNITS[form.initial["cooldown_unit"]],
        "claim_words": UNITS[form.initial["claim_unit"]],
        "trail": trail_of(own, "org", own.pk),
    }
    return render(request, "accounts/organization.html", context, status=status_of(form))


@requires("agents:read")
def leave(request: MemberRequest) -> HttpResponse:
    """Asks, then ends one's own membership."""
    if request.method == "POST":
        with told(request, f"You do not belong to {request.organization} any more."):
            members.leave(member=request.membership)
            request.session.pop(ORGANIZATION, None)
            return redirect("accounts:profile")
        return redirect("accounts:leave")
    return render(request, "accounts/leave.html")


@requires("owners:write")
def organization_new(request: MemberRequest) -> HttpResponse:
    """An owner makes another organization and goes there."""
    form = NewOrganizationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            made = organizations.create(name=form.cleaned_data["name"], by=request.membership, owner=request.user)
            request.session[ORGANIZATION] = str(made.pk)
            messages.success(request, f"You are in {made} now.")
            return redirect("accounts:organization")
    return render(request, "accounts/organization_new.html", {"form": form}, status=status_of(form))


def no_organization(request: HttpRequest) -> HttpResponse:
    """For people who belong nowhere (any more)."""
    if request.membership:  # type: ignore[attr-defined]
        return redirect("/")
    return render(request, "accounts/no_organization.html")
