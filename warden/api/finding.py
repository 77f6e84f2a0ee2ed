"""Looks things up in the organization of the token: what belongs to another is not there."""

from typing import Any

from django.db.models import Model, QuerySet
from msgspec import UNSET, Struct, structs

from accounts.models import Membership, Organization, Team
from agents.models import Agent, ApiKey, ApprovalRule, Permission
from audit.ids import read_id
from warden.api.endpoint import Call
from warden.api.errors import Failure, missing


def one[M: Model](rows: QuerySet[M], prefix: str, text: str, what: str) -> M:
    """The row that `prefix_…` (or a bare UUID) names. Raises Failure (404)."""
    number = read_id(prefix, text)
    row = rows.filter(pk=number).first() if number else None
    if row is None:
        raise missing(what)
    return row


def agents(call: Call) -> QuerySet[Agent]:
    rows = Agent.objects.filter(organization=call.organization, deleted_at=None)
    return rows.select_related("organization", "owner_user", "owner_team")


def agent(call: Call, text: str) -> Agent:
    """By slug, UUID or agt_…. Raises Failure (404)."""
    number = read_id("agt", text)
    row = agents(call).filter(pk=number).first() if number else agents(call).filter(slug=text).first()
    if row is None:
        raise missing("Agent")
    return row


def permission(call: Call, text: str) -> Permission:
    rows = Permission.objects.filter(agent__organization=call.organization, agent__deleted_at=None)
    return one(rows.select_related("agent__organization"), "prm", text, "Permission")


def key(call: Call, text: str) -> ApiKey:
    rows = ApiKey.objects.filter(organization=call.organization).select_related("organization", "agent")
    return one(rows, "key", text, "Key")


def rule(call: Call, text: str) -> ApprovalRule:
    rows = ApprovalRule.objects.filter(organization=call.organization).select_related("organization")
    return one(rows, "rul", text, "Approval rule")


def team(call: Call, text: str) -> Team:
    """By slug or team_…. Raises Failure (404)."""
    rows = Team.objects.filter(organization=call.organization).select_related("organization")
    return rows.filter(slug=text).first() or one(rows, "team", text, "Team")


def member(call: Call, text: str) -> Membership:
    """By usr_…. Raises Failure (404)."""
    rows = Membership.objects.filter(organization=call.organization).select_related("organization", "user")
    number = read_id("usr", text)
    row = rows.filter(user=number).first() if number else None
    if row is None:
        raise missing("Member")
    return row


def members_by_email(organization: Organization, emails: list[str]) -> list[Membership]:
    """Raises Failure (422) that names who is no member."""
    wanted = {email.strip().lower() for email in emails}
    rows = Membership.objects.filter(organization=organization, user__email__in=wanted).select_related("user")
    strangers = sorted(wanted - {row.user.email for row in rows})
    if strangers:
        raise Failure(422, f"members: {', '.join(strangers)} is no member")
    return list(rows)


def given(body: Struct) -> dict[str, Any]:
    """The fields that the caller named."""
    found = {name: value for name, value in structs.asdict(body).items() if value is not UNSET}
    if isinstance(limits := found.get("limits"), Struct):
        found["limits"] = {name: str(most) for name, most in structs.asdict(limits).items() if most is not None}
    return found
