"""One's own account: name, and access tokens. Password, factors and sessions are django-allauth's pages."""

from uuid import UUID

from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.access import requires
from accounts.forms.people import NameForm
from accounts.forms.tokens import TokenForm
from accounts.models import AccessToken
from accounts.requests import MemberRequest
from accounts.services import people, tokens
from accounts.views.answers import private, status_of, told, told_in
from audit.clock import database_now

PAGE = 50


def profile(request: MemberRequest) -> HttpResponse:
    """Name, address, how one logs in, where one belongs. For people of no organization too."""
    form = NameForm(request.POST if request.method == "POST" else None, initial={"name": request.user.name})
    if request.method == "POST" and form.is_valid():
        people.rename(user=request.user, name=form.cleaned_data["name"])
        messages.success(request, "Saved.")
        return redirect("accounts:profile")
    context = {
        "form": form,
        "memberships": request.user.memberships.select_related("organization"),
        "factors": Authenticator.objects.filter(user=request.user).exclude(type="recovery_codes").count(),
        "providers": get_adapter().list_providers(request) if settings.SOCIALACCOUNT_PROVIDERS else [],
        "identities": SocialAccount.objects.filter(user=request.user).count(),
    }
    return render(request, "accounts/profile.html", context, status=status_of(form))


@requires("agents:read")
def token_list(request: MemberRequest) -> HttpResponse:
    """One's own tokens in this organization."""
    own = request.user.access_tokens.filter(organization=request.organization)
    page = Paginator(own, PAGE).get_page(request.GET.get("page"))
    return render(request, "accounts/tokens.html", {"page": page, "now": database_now()})


@requires("agents:read")
def token_new(request: MemberRequest) -> HttpResponse:
    """Makes a token and shows it, this once."""
    form = TokenForm(request.POST or None, role=request.membership.role)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        with told_in(form):
            token, raw = tokens.create(
                member=request.membership,
                name=data["name"],
                scopes=data["scopes"],
                days=data["days"],
                by=request.membership,
            )
            context = {"token": token, "raw": raw, "site_url": settings.SITE_URL}
            return private(render(request, "accounts/token_made.html", context))
    return render(request, "accounts/token_new.html", {"form": form}, status=status_of(form))


@requires("agents:read")
def token_revoke(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Asks, then revokes: one's own, or a member's whom one may change."""
    token = get_object_or_404(
        AccessToken.objects.select_related("user", "organization"), pk=pk, organization=request.organization
    )
    own = token.user_id == request.user.pk
    if not own and not request.membership.may("members:write"):
        raise PermissionDenied("Only owners and admins revoke other people's tokens.")
    if request.method == "POST":
        with told(request, f"{token.name} is revoked: it opens nothing any more."):
            tokens.revoke(token=token, by=request.membership)
        return redirect("accounts:tokens" if own else "accounts:members")
    return render(request, "accounts/token_revoke.html", {"token": token, "own": own})
