"""Members: the list, one member, removing one."""

from uuid import UUID

from allauth.mfa.models import Authenticator
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts import roles, rules
from accounts.access import requires
from accounts.forms.people import RoleForm
from accounts.models import Membership
from accounts.requests import MemberRequest
from accounts.services import break_glass, invite, members
from accounts.trail import trail_of
from accounts.views.answers import status_of, told

PAGE = 50


def _found(request: MemberRequest, query: str, role: str) -> QuerySet[Membership]:
    factors = Authenticator.objects.filter(user_id=OuterRef("user_id")).exclude(type="recovery_codes")
    found = request.organization.memberships.select_related("user").prefetch_related("teams")
    found = found.annotate(has_second_factor=Exists(factors))
    if query:
        found = found.filter(Q(user__email__icontains=query) | Q(user__name__icontains=query))
    return found.filter(role=role) if role in roles.ROLES else found


@requires("members:read")
def member_list(request: MemberRequest) -> HttpResponse:
    """Members, with a search."""
    query, role = request.GET.get("q", "").strip(), request.GET.get("role", "")
    context = {
        "page": Paginator(_found(request, query, role), PAGE).get_page(request.GET.get("page")),
        "query": query,
        "role": role,
        "roles": roles.ROLES,
        "waiting": invite.unanswered(request.organization).count(),
        "may_write": request.membership.may("members:write"),
    }
    return render(request, "accounts/members.html", context)


def _member(request: MemberRequest, pk: UUID) -> Membership:
    return get_object_or_404(request.organization.memberships.select_related("user", "organization"), pk=pk)


@requires("members:read")
def member(request: MemberRequest, pk: UUID) -> HttpResponse:
    """One member: role, teams, access tokens, what happened."""
    found, own = _member(request, pk), request.membership.role
    fixed = rules.why_not(rules.check_touch, own, found.role)
    form = None if fixed else RoleForm(request.POST or None, by=own, initial={"role": found.role})
    if request.method == "POST" and form and form.is_valid():
        role = form.cleaned_data["role"]
        with told(request, f"{found.user} is {roles.ROLES[role].lower()} now."):
            members.change_role(member=found, role=role, by=request.membership)
        return redirect("accounts:member", pk)
    context = {
        "member": found,
        "form": form,
        "fixed": fixed,
        "decides": roles.may(found.role, "approvals:decide"),
        "may_give_glass": request.membership.may("owners:write"),
        "description": roles.DESCRIPTIONS[found.role],
        "tokens": found.user.access_tokens.filter(organization=found.organization_id, revoked_at=None),
        "trail": trail_of(found.organization, "usr", found.user_id),
    }
    return render(request, "accounts/member.html", context, status=status_of(form) if form else 200)


@require_POST
@requires("owners:write")
def member_glass(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Lets a member break the glass (`on`), or not any more."""
    found = _member(request, pk)
    if request.POST.get("on"):
        with told(request, f"{found.user} may allow single requests outside their rule. Every owner is told of each."):
            break_glass.allow(member=found, by=request.membership)
    else:
        with told(request, f"{found.user} may not allow anything outside its rule any more."):
            break_glass.withdraw(member=found, by=request.membership)
    return redirect("accounts:member", pk)


@requires("members:write")
def member_remove(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Asks, then removes."""
    found = _member(request, pk)
    if request.method == "POST":
        with told(request, f"{found.user} does not belong to {found.organization} any more."):
            members.remove(member=found, by=request.membership)
        return redirect("accounts:members")
    fixed = rules.why_not(rules.check_touch, request.membership.role, found.role)
    return render(request, "accounts/member_remove.html", {"member": found, "fixed": fixed})
