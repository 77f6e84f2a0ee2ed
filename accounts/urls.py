"""Addresses of this room, accounts:…, and django-allauth's own (`allauth`)."""

from importlib import import_module

from django.db import transaction
from django.urls import URLPattern, URLResolver, path

from accounts.views import absence, invitations, join, members, organization, profile, setup, single, switches, teams

app_name = "accounts"
urlpatterns = [
    path("setup/<str:token>", setup.setup, name="setup"),
    path("join/<str:token>", join.join, name="join"),
    path("no-organization/", organization.no_organization, name="no_organization"),
    path("switch/organization/", switches.switch_organization, name="switch_organization"),
    path("switch/mode/", switches.switch_mode, name="switch_mode"),
    path("switch/theme/", switches.set_theme, name="set_theme"),
    path("profile/", profile.profile, name="profile"),
    path("profile/tokens/", profile.token_list, name="tokens"),
    path("profile/tokens/new/", profile.token_new, name="token_new"),
    path("profile/tokens/<uuid:pk>/revoke/", profile.token_revoke, name="token_revoke"),
    path("profile/absence/", absence.absence, name="absence"),
    path("profile/absence/<uuid:pk>/end/", absence.absence_end, name="absence_end"),
    path("settings/", organization.settings_index, name="settings"),
    path("settings/members/", members.member_list, name="members"),
    path("settings/members/invite/", invitations.invitation_new, name="invite"),
    path("settings/members/<uuid:pk>/", members.member, name="member"),
    path("settings/members/<uuid:pk>/break-glass/", members.member_glass, name="member_glass"),
    path("settings/members/<uuid:pk>/remove/", members.member_remove, name="member_remove"),
    path("settings/members/invitations/", invitations.invitation_list, name="invitations"),
    path("settings/invitations/<uuid:pk>/resend/", invitations.invitation_resend, name="invitation_resend"),
    path("settings/invitations/<uuid:pk>/revoke/", invitations.invitation_revoke, name="invitation_revoke"),
    path("settings/teams/", teams.team_list, name="teams"),
    path("settings/teams/new/", teams.team_new, name="team_new"),
    path("settings/teams/<uuid:pk>/", teams.team, name="team"),
    path("settings/teams/<uuid:pk>/rename/", teams.team_rename, name="team_rename"),
    path("settings/teams/<uuid:pk>/delete/", teams.team_delete, name="team_delete"),
    path("settings/organization/", organization.organization, name="organization"),
    path("settings/organization/single/", single.single, name="single"),
    path("settings/organization/single/end/", single.single_end, name="single_end"),
    path("settings/organization/leave/", organization.leave, name="leave"),
    path("settings/organizations/new/", organization.organization_new, name="organization_new"),
]


def _atomic(patterns: list[URLPattern | URLResolver]) -> list[URLPattern | URLResolver]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            _atomic(pattern.url_patterns)
        else:
            pattern.callback = transaction.atomic(pattern.callback)
    return patterns


# Each view of django-allauth runs in one transaction: what it changes and what the record says of it commit together.
allauth = _atomic(import_module("allauth.urls").urlpatterns)
