"""What /api answers of the organization and its people, and how each is made of a row."""

from typing import Annotated

from msgspec import Meta, Struct

from accounts import models as accounts
from accounts.tokens import token_may
from audit.ids import show_id
from warden.api.answers import Moment
from warden.api.bodies import Role


class Organization(Struct):
    id: str
    slug: str
    name: str
    environments: list[str]
    cooldown_seconds: int
    claim_seconds: int
    authz_paths: list[str]
    policy_by_two: bool
    deny_when_late: bool
    retention_months: int
    legal_hold: bool
    single_operator_since: Annotated[
        Moment | None, Meta(description="While this is set, people may approve what their own agents ask.")
    ]
    single_operator_by: str
    created_at: Moment


class TokenHolder(Struct):
    """A token, its person, and the scopes that the person's role includes now."""

    token_id: str
    token_name: str
    email: str
    name: str
    role: Role
    organization_id: str
    organization: str
    scopes: list[str]
    expires_at: Moment | None


class Member(Struct):
    id: str
    email: str
    name: str
    role: Role
    breaks_glass: Annotated[bool, Meta(description="May allow single requests outside their rule, in the browser.")]
    teams: list[str]
    created_at: Moment


class Team(Struct):
    id: str
    slug: str
    name: str
    members: list[str]
    created_at: Moment


class Invitation(Struct):
    id: str
    email: str
    role: Role
    invited_by: str | None
    created_at: Moment
    expires_at: Moment


class NewInvitationAnswer(Struct):
    """The only time that the link is shown. `mail_error` says why no mail went out, if none did."""

    link: str
    mail_error: str
    invitation: Invitation


def organization(row: accounts.Organization) -> Organization:
    return Organization(
        id=str(row.id),
        slug=row.slug,
        name=row.name,
        environments=row.environments,
        cooldown_seconds=row.cooldown_seconds,
        claim_seconds=row.claim_seconds,
        authz_paths=row.authz_paths,
        policy_by_two=row.policy_by_two,
        deny_when_late=row.deny_when_late,
        retention_months=row.retention_months,
        legal_hold=row.legal_hold,
        single_operator_since=row.single_operator_since,
        single_operator_by=row.single_operator_by,
        created_at=row.created_at,
    )


def token_holder(row: accounts.AccessToken) -> TokenHolder:
    return TokenHolder(
        token_id=show_id("tok", row.id),
        token_name=row.name,
        email=row.user.email,
        name=row.user.name,
        role=row.membership.role,  # type: ignore[arg-type]
        organization_id=str(row.organization_id),
        organization=row.organization.slug,
        scopes=sorted(scope for scope in row.scopes if token_may(row, scope)),
        expires_at=row.expires_at,
    )


def member(row: accounts.Membership) -> Member:
    return Member(
        id=show_id("usr", row.user_id),
        email=row.user.email,
        name=row.user.name,
        role=row.role,  # type: ignore[arg-type]
        breaks_glass=row.breaks_glass,
        teams=sorted(team.slug for team in row.teams.all()),
        created_at=row.created_at,
    )


def team(row: accounts.Team) -> Team:
    people = sorted(each.user.email for each in row.members.all())
    return Team(show_id("team", row.id), row.slug, row.name, people, row.created_at)


def invitation(row: accounts.Invitation) -> Invitation:
    return Invitation(
        id=show_id("inv", row.id),
        email=row.email,
        role=row.role,  # type: ignore[arg-type]
        invited_by=row.invited_by.email if row.invited_by else None,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
