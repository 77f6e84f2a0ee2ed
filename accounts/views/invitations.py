"""Invitations, on the inviter's side."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts import roles
from accounts.access import requires
from accounts.forms.people import InviteForm
from accounts.models import Invitation
from accounts.requests import MemberRequest
from accounts.rules import Refused
from accounts.services import invite
from accounts.views.answers import private, status_of, told, told_in

PAGE = 50


def _sent(request: MemberRequest, issued: invite.Issued) -> HttpResponse:
    return private(render(request, "accounts/invitation_sent.html", {"issued": issued, "days": invite.DAYS}))


def _invitation(request: MemberRequest, pk: UUID) -> Invitation:
    return get_object_or_404(request.organization.invitations.select_related("organization", "invited_by"), pk=pk)


@requires("members:read")
def invitation_list(request: MemberRequest) -> HttpResponse:
    """Those that wait for an answer, the expired ones too: they can be sent again."""
    found = invite.unanswered(request.organization).select_related("invited_by")
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    still_open = invite.open_invitations().filter(pk__in=[invitation.pk for invitation in page])
    context = {
        "page": page,
        "open": set(still_open.values_list("pk", flat=True)),
        "waiting": page.paginator.count,
        "may_write": request.membership.may("members:write"),
    }
    return render(request, "accounts/invitations.html", context)


@requires("members:write")
def invitation_new(request: MemberRequest) -> HttpResponse:
    """Invites somebody, and shows the link this once."""
    form = InviteForm(request.POST or None, by=request.membership.role, initial={"role": roles.VIEWER})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        with told_in(form):
            return _sent(
                request,
                invite.invite(
                    organization=request.organization, email=data["email"], role=data["role"], by=request.membership
                ),
            )
    return render(request, "accounts/invitation_new.html", {"form": form, "days": invite.DAYS}, status=status_of(form))


@require_POST
@requires("members:write")
def invitation_resend(request: MemberRequest, pk: UUID) -> HttpResponse:
    """A new link, shown this once; the old one opens nothing any more."""
    try:
        return _sent(request, invite.resend(invitation=_invitation(request, pk), by=request.membership))
    except Refused as why_not:
        messages.error(request, str(why_not))
        return redirect("accounts:invitations")


@require_POST
@requires("members:write")
def invitation_revoke(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Closes an invitation. Inviting again is easy, so it does not ask."""
    found = _invitation(request, pk)
    with told(request, f"The invitation of {found.email} is revoked. Its link opens nothing any more."):
        invite.revoke(invitation=found, by=request.membership)
    return redirect("accounts:invitations")
