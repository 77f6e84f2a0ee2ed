"""Teams: some members, by a name. They own agents and may be named by approval rules."""

import uuid
from collections.abc import Collection

from django.db import transaction
from django.utils.text import slugify

from accounts.by import By, check_by, lock, tell
from accounts.models import Membership, Organization, Team
from accounts.names import clean_name
from accounts.rules import Refused
from audit.ids import show_id


def _name(organization: Organization, name: str, team: Team | None = None) -> tuple[str, str]:
    """The name and the slug made of it. Raises Refused where it is empty or taken."""
    name = clean_name(name, 80)
    slug = slugify(name).replace("_", "-").strip("-")[:64].strip("-")
    if not slug:
        raise Refused("Give the team a name with letters or digits.")
    namesake = Team.objects.filter(organization=organization, slug=slug).first()
    if namesake and namesake != team:
        raise Refused(f"There is a team “{name}” already.")
    return name, slug


def create(*, organization: Organization, name: str, by: By) -> Team:
    """A team without members. Raises Refused."""
    with transaction.atomic():
        organization = lock(organization)
        check_by(by, organization, "members:write")
        name, slug = _name(organization, name)
        team = Team.objects.create(organization=organization, name=name, slug=slug)
        tell("team:create", organization=organization, by=by, target=show_id("team", team.id), name=name)
    return team


def rename(*, team: Team, name: str, by: By) -> Team:
    """Gives a team another name, and the slug that goes with it. Raises Refused."""
    with transaction.atomic():
        team = _fresh(team, by)
        before = team.name
        team.name, team.slug = _name(team.organization, name, team)
        if team.name != before:
            team.save(update_fields=["name", "slug"])
            target = show_id("team", team.id)
            changes = {"from": before, "to": team.name}
            tell("team:rename", organization=team.organization, by=by, target=target, **changes)
    return team


def set_members(*, team: Team, members: Collection[uuid.UUID], by: By) -> Team:
    """Makes the memberships with these ids, and no others, the team. Raises Refused, also for a stranger's id."""
    with transaction.atomic():
        team = _fresh(team, by)
        wanted = {
            member.pk: member
            for member in Membership.objects.select_related("user").filter(
                organization=team.organization, pk__in=members
            )
        }
        if len(wanted) != len(set(members)):
            raise Refused("Somebody on this list is not a member any more. Look at it again.")
        before = {member.pk: member for member in team.members.select_related("user")}
        added, removed = wanted.keys() - before.keys(), before.keys() - wanted.keys()
        if added or removed:
            team.members.set(wanted.values())
            tell(
                "team:members",
                organization=team.organization,
                by=by,
                target=show_id("team", team.id),
                name=team.name,
                added=sorted(wanted[pk].user.email for pk in added),
                removed=sorted(before[pk].user.email for pk in removed),
            )
    return team


def delete(*, team: Team, by: By) -> None:
    """Deletes a team; its members stay in the organization. Raises Refused."""
    with transaction.atomic():
        team = _fresh(team, by)
        members = sorted(team.members.values_list("user__email", flat=True))
        target = show_id("team", team.id)
        tell("team:delete", organization=team.organization, by=by, target=target, name=team.name, members=members)
        team.delete()


def _fresh(team: Team, by: By) -> Team:
    organization = lock(team.organization)
    check_by(by, organization, "members:write")
    fresh = Team.objects.filter(pk=team.pk, organization=organization).first()
    if fresh is None:
        raise Refused("This team is gone: somebody deleted it.")
    fresh.organization = organization
    return fresh
