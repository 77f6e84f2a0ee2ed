"""Whom a rule names: given by names, kept by ids, so that a name that is used again adds nobody."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError

from accounts import roles
from accounts.models import Membership, Organization

DECIDERS = [role for role in roles.ROLES if roles.may(role, "approvals:decide")]
WAYS = 5  # to satisfy one rule, besides the first


def resolve(organization: Organization, given: Mapping[str, Any], field: str) -> dict[str, Any]:
    """What a rule keeps of `{"roles": ["admin"], "teams": ["finance"], "people": ["ann@example.com"]}`.

    Names may also be given as they are kept. Raises ValidationError, for `field`, that says what is wrong.
    """
    asked = set(given.get("roles", ()))
    if not asked <= set(DECIDERS):
        raise wrong(field, f"Choose among the roles that may decide: {', '.join(sorted(DECIDERS))}.")
    slugs = {_name(team, "slug") for team in given.get("teams", ())}
    emails = {_name(person, "email").strip().lower() for person in given.get("people", ())}
    teams = list(organization.teams.filter(slug__in=slugs).order_by("slug")) if slugs else []
    members = Membership.objects.filter(organization=organization, user__email__in=emails, user__is_active=True)
    found = list(members.select_related("user").order_by("user__email")) if emails else []
    missing = sorted(slugs - {team.slug for team in teams}) + sorted(emails - {each.user.email for each in found})
    if missing:
        raise wrong(field, f"There is no {missing[0]} here.")
    if unable := [member.user.email for member in found if member.role not in DECIDERS]:
        raise wrong(field, f"{unable[0]} may not decide: give them a role that may, or choose somebody else.")
    return {
        "roles": [role for role in DECIDERS if role in asked],
        "teams": [{"id": str(team.id), "slug": team.slug} for team in teams],
        "people": [{"id": str(member.user_id), "email": member.user.email} for member in found],
    }


def resolve_ways(organization: Organization, ways: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a rule keeps of its alternatives: as `resolve`, each with `approvals`. Raises ValidationError."""
    kept = [_way(organization, way) for way in ways]
    if len(kept) > WAYS:
        raise wrong("alternatives", f"At most {WAYS} alternatives.")
    return kept


def named(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept, by names again, as `resolve` takes it."""
    return {
        "roles": list(kept["roles"]),
        "teams": [team["slug"] for team in kept["teams"]],
        "people": [person["email"] for person in kept["people"]],
    }


def wrong(field: str, words: str) -> ValidationError:
    return ValidationError({field: words})


def _way(organization: Organization, way: Mapping[str, Any]) -> dict[str, Any]:
    approvals = way.get("approvals", 1)
    if isinstance(approvals, bool) or not isinstance(approvals, int) or not 1 <= approvals <= 10:
        raise wrong("alternatives", "An alternative takes from 1 to 10 approvals.")
    who = resolve(organization, way, "alternatives")
    if not any(who.values()):
        raise wrong("alternatives", "Say whose approvals an alternative takes.")
    return {"approvals": approvals, **who}


def _name(given: str | Mapping[str, str], key: str) -> str:
    """A name, given as one or within what a rule keeps."""
    return given if isinstance(given, str) else given[key]
