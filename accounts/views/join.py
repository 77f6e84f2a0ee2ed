"""The page behind an invitation's link."""

from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters

from accounts.forms.people import JoinForm
from accounts.middleware import ORGANIZATION
from accounts.models import Invitation, User
from accounts.rules import Refused
from accounts.services import invite
from accounts.views.answers import log_in, private, status_of, told_in


@login_not_required
@sensitive_post_parameters("password", "again")
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Members-to-be with an account accept while logged in under the invited address; others choose a password."""
    invitation = invite.find(token)
    if invitation is None:
        return render(request, "accounts/invitation_void.html", status=410)
    if request.user.is_authenticated:
        return _join_as(request, token, invitation)
    if User.objects.filter(email=invitation.email).exists():
        login = f"{reverse('account_login')}?{urlencode({'next': request.path})}"
        return private(render(request, "accounts/join_log_in.html", {"invitation": invitation, "login": login}))
    form = JoinForm(request.POST or None, email=invitation.email)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        with told_in(form), transaction.atomic():
            user = invite.accept_as_new(token=token, name=data["name"], password=data["password"])
            return log_in(request, user)
    page = render(request, "accounts/join_new.html", {"invitation": invitation, "form": form}, status=status_of(form))
    return private(page)


def _join_as(request: HttpRequest, token: str, invitation: Invitation) -> HttpResponse:
    user = request.user
    if request.method == "POST" and user.email == invitation.email:  # type: ignore[union-attr]
        try:
            invite.accept(token=token, user=user)  # type: ignore[arg-type]
        except Refused as why_not:
            messages.error(request, str(why_not))
        else:
            request.session[ORGANIZATION] = str(invitation.organization_id)
            messages.success(request, f"You belong to {invitation.organization} now.")
        return redirect("/")
    return private(render(request, "accounts/join.html", {"invitation": invitation}))
