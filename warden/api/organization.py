"""/api/organization, its members, teams and invitations."""

from typing import Annotated

from django.db import transaction
from msgspec import UNSET, Meta, Struct, UnsetType

from accounts.models import Membership, Team
from accounts.services import invite, members, organizations, teams
from agents.models import ApiKey
from agents.services import keys
from warden.api import finding
from warden.api.answers import people as answers
from warden.api.answers.agents import NewKeyAnswer
from warden.api.bodies import PLAIN, Line, Role
from warden.api.endpoint import Call, endpoint
from warden.api.keys import shown


class ChangeMember(Struct, forbid_unknown_fields=True):
    role: Role


class NewInvitation(Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=254, pattern=PLAIN, examples=["ann@example.com"])]
    role: Role


class NewTeam(Struct, forbid_unknown_fields=True):
    name: Line
    members: Annotated[list[Line], Meta(max_length=1_000, description="E-mail addresses of members.")] = []


class ChangeTeam(Struct, forbid_unknown_fields=True):
    name: Line | UnsetType = UNSET
    members: (
        Annotated[list[Line], Meta(max_length=1_000, description="E-mail addresses: these, and no others.")] | UnsetType
    ) = UNSET


class ChangeOrganization(Struct, forbid_unknown_fields=True):
    name: Line | UnsetType = UNSET
    environments: Annotated[list[Line], Meta(max_length=50)] | UnsetType = UNSET
    cooldown_seconds: Annotated[int, Meta(ge=0, le=86_400)] | UnsetType = UNSET
    claim_seconds: Annotated[int, Meta(ge=30, le=604_800)] | UnsetType = UNSET
    authz_paths: (
        Annotated[list[Line], Meta(max_length=20, description="Paths below /v1/data, besides agentweave/authz.")]
        | UnsetType
    ) = UNSET
    policy_by_two: Annotated[
        bool | UnsetType,
        Meta(description="One proposes a change of the policy, another accepts. Only owners set it."),
    ] = UNSET
    deny_when_late: Annotated[
        bool | UnsetType,
        Meta(description="High and critical risk is denied while the record was not put in order for 60 seconds."),
    ] = UNSET
    retention_months: (
        Annotated[
            int,
            Meta(
                ge=6, le=1_200, description="How long the record, requests and deliveries are kept. Only owners set it."
            ),
        ]
        | UnsetType
    ) = UNSET
    legal_hold: Annotated[
        bool | UnsetType, Meta(description="While it is set, nothing is let go. Only owners set it.")
    ] = UNSET


class SingleOperator(Struct, forbid_unknown_fields=True):
    confirm: Annotated[Line, Meta(description="The organization's slug, to be sure.")]


ORGANIZATION_KEY = "Organization key"  # the name by which the next regeneration finds it


@endpoint("GET", "organization", "settings:read")
def get_organization(call: Call) -> answers.Organization:
    """Get the organization of the token."""
    return answers.organization(call.organization)


@endpoint("PUT", "organization", "settings:write")
def change_organization(call: Call, body: ChangeOrganization) -> answers.Organization:
    """Change the organization's settings: those that are given."""
    return answers.organization(
        organizations.change(organization=call.organization, by=call.membership, **finding.given(body))
    )


@endpoint("POST", "organization/single-operator", "settings:write")
def begin_single_operator(call: Call, body: SingleOperator) -> answers.Organization:
    """Let people approve what their own agents ask, in an organization of one person. Only owners do this."""
    return answers.organization(
        organizations.begin_single_operator(organization=call.organization, by=call.membership, typed=body.confirm)
    )


@endpoint("DELETE", "organization/single-operator", "settings:write")
def end_single_operator(call: Call) -> answers.Organization:
    """Need two people again, for what waits and what was approved and not claimed too."""
    return answers.organization(organizations.end_single_operator(organization=call.organization, by=call.membership))


@endpoint("POST", "organization/regenerate-key", "agents:write", 201)
def regenerate_key(call: Call) -> NewKeyAnswer:
    """Make a new live key for every agent of the organization. The one made here before stops working at once."""
    with transaction.atomic():
        created = keys.create_key(
            organization=call.organization, by=call.membership, mode="live", name=ORGANIZATION_KEY
        )
        before = ApiKey.objects.filter(
            organization=call.organization, agent=None, mode="live", name=ORGANIZATION_KEY, revoked_at=None
        ).exclude(pk=created.key.pk)
        for key in before.select_related("organization"):
            keys.revoke_key(key=key, by=call.membership)
    return shown(created)


@endpoint("GET", "members", "members:read")
def list_members(call: Call) -> list[answers.Member]:
    """List members."""
    rows = Membership.objects.filter(organization=call.organization).select_related("user").prefetch_related("teams")
    return [answers.member(row) for row in rows]


@endpoint("PUT", "members/{member_id}", "members:write")
def change_member(call: Call, member_id: str, body: ChangeMember) -> answers.Member:
    """Give a member another role."""
    row = finding.member(call, member_id)
    return answers.member(members.change_role(member=row, role=body.role, by=call.membership))


@endpoint("DELETE", "members/{member_id}", "members:write", 204)
def remove_member(call: Call, member_id: str) -> None:
    """Remove a member. Their access tokens stop working at once."""
    members.remove(member=finding.member(call, member_id), by=call.membership)


@endpoint("GET", "invitations", "members:read")
def list_invitations(call: Call) -> list[answers.Invitation]:
    """List invitations that can be accepted now."""
    rows = invite.open_invitations().filter(organization=call.organization).select_related("invited_by")
    return [answers.invitation(row) for row in rows]


@endpoint("POST", "invitations", "members:write", 201)
def create_invitation(call: Call, body: NewInvitation) -> answers.NewInvitationAnswer:
    """Invite somebody by mail."""
    issued = invite.invite(organization=call.organization, email=body.email, role=body.role, by=call.membership)
    return _shown(issued)


@endpoint("POST", "invitations/{invitation_id}/resend", "members:write")
def resend_invitation(call: Call, invitation_id: str) -> answers.NewInvitationAnswer:
    """Send an invitation again, with a new link. The old link stops working."""
    return _shown(invite.resend(invitation=_invitation(call, invitation_id), by=call.membership))


@endpoint("DELETE", "invitations/{invitation_id}", "members:write", 204)
def revoke_invitation(call: Call, invitation_id: str) -> None:
    """Revoke an invitation."""
    invite.revoke(invitation=_invitation(call, invitation_id), by=call.membership)


def _invitation(call: Call, text: str) -> invite.Invitation:
    rows = invite.Invitation.objects.filter(organization=call.organization).select_related("organization", "invited_by")
    return finding.one(rows, "inv", text, "Invitation")


def _shown(issued: invite.Issued) -> answers.NewInvitationAnswer:
    return answers.NewInvitationAnswer(issued.link, issued.mail_error, answers.invitation(_saved(issued.invitation)))


def _saved(row: invite.Invitation) -> invite.Invitation:
    return invite.Invitation.objects.select_related("invited_by").get(pk=row.pk)


@endpoint("GET", "teams", "members:read")
def list_teams(call: Call) -> list[answers.Team]:
    """List teams and who is in them."""
    rows = Team.objects.filter(organization=call.organization).prefetch_related("members__user")
    return [answers.team(row) for row in rows]


@endpoint("POST", "teams", "members:write", 201)
def create_team(call: Call, body: NewTeam) -> answers.Team:
    """Create a team."""
    with transaction.atomic():
        row = teams.create(organization=call.organization, name=body.name, by=call.membership)
        if body.members:
            people = [each.pk for each in finding.members_by_email(call.organization, body.members)]
            teams.set_members(team=row, members=people, by=call.membership)
    return _team(row)


@endpoint("PUT", "teams/{team_id}", "members:write")
def change_team(call: Call, team_id: str, body: ChangeTeam) -> answers.Team:
    """Rename a team, or say who is in it, or both. By slug or id."""
    fields = finding.given(body)
    with transaction.atomic():
        row = finding.team(call, team_id)
        if "name" in fields:
            row = teams.rename(team=row, name=fields["name"], by=call.membership)
        if "members" in fields:
            people = [each.pk for each in finding.members_by_email(call.organization, fields["members"])]
            teams.set_members(team=row, members=people, by=call.membership)
    return _team(row)


@endpoint("DELETE", "teams/{team_id}", "members:write", 204)
def delete_team(call: Call, team_id: str) -> None:
    """Delete a team. Its members stay in the organization."""
    teams.delete(team=finding.team(call, team_id), by=call.membership)


def _team(row: Team) -> answers.Team:
    return answers.team(Team.objects.prefetch_related("members__user").get(pk=row.pk))
