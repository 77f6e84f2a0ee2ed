"""Teams: the list, one team, deleting one."""

from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.access import requires
from accounts.forms.organization import TeamForm, TeamMembersForm
from accounts.models import Team
from accounts.requests import MemberRequest
from accounts.services import teams
from accounts.trail import trail_of
from accounts.views.answers import status_of, told, told_in

PAGE = 50


@requires("members:read")
def team_list(request: MemberRequest) -> HttpResponse:
    found = request.organization.teams.annotate(size=Count("members")).order_by("name", "id")
    context = {
        "page": Paginator(found, PAGE).get_page(request.GET.get("page")),
        "may_write": request.membership.may("members:write"),
    }
    return render(request, "accounts/teams.html", context)


@requires("members:write")
def team_new(request: MemberRequest) -> HttpResponse:
    form = TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            team = teams.create(
                organization=request.organization, name=form.cleaned_data["name"], by=request.membership
            )
            return redirect("accounts:team", team.pk)
    return render(request, "accounts/team_new.html", {"form": form}, status=status_of(form))


def _team(request: MemberRequest, pk: UUID) -> Team:
    return get_object_or_404(request.organization.teams.select_related("organization"), pk=pk)


@requires("members:read")
def team(request: MemberRequest, pk: UUID) -> HttpResponse:
    """One team: who is in it, and, for those who may, its name and members to change."""
    found = _team(request, pk)
    may_write = request.membership.may("members:write")
    form = TeamMembersForm(request.POST or None, team=found)
    if request.method == "POST" and may_write:
        form = TeamMembersForm(request.POST, team=found)
        if form.is_valid():
            with told(request, f"{found} has these members now."):
                chosen = [member.pk for member in form.cleaned_data["members"]]
                teams.set_members(team=found, members=chosen, by=request.membership)
            return redirect("accounts:team", pk)
    context = {
        "team": found,
        "form": form if may_write else None,
        "members": found.members.select_related("user"),
        "trail": trail_of(found.organization, "team", found.pk),
    }
    return render(request, "accounts/team.html", context, status=status_of(form))


@requires("members:write")
def team_rename(request: MemberRequest, pk: UUID) -> HttpResponse:
    found = _team(request, pk)
    form = TeamForm(request.POST or None, initial={"name": found.name})
    if request.method == "POST" and form.is_valid():
        with told_in(form):
            teams.rename(team=found, name=form.cleaned_data["name"], by=request.membership)
            return redirect("accounts:team", pk)
    return render(request, "accounts/team_rename.html", {"team": found, "form": form}, status=status_of(form))


@requires("members:write")
def team_delete(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Asks, then deletes."""
    found = _team(request, pk)
    if request.method == "POST":
        with told(request, f"The team {found} is deleted."):
            teams.delete(team=found, by=request.membership)
        return redirect("accounts:teams")
    return render(request, "accounts/team_delete.html", {"team": found, "size": found.members.count()})
