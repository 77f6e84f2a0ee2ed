"""Steps of an escalation: given by names, kept by ids, so that a name that is used again adds nobody."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError

from accounts import roles
from accounts.models import Membership, Organization

STEPS = 5
DECIDERS = [role for role in roles.ROLES if roles.may(role, "approvals:decide")]


def resolve(organization: Organization, steps: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a rule keeps of steps such as `{"after_minutes": 30, "roles": ["admin"], "teams": ["finance"], "people":
    ["ann@example.com"]}`, soonest first. Raises ValidationError (for `escalation`) that says what is wrong.
    """
    kept = sorted((_step(organization, step) for step in steps), key=lambda step: step["after_minutes"])
    if len(kept) > STEPS:
        raise _wrong(f"At most {STEPS} steps.")
    times = [step["after_minutes"] for step in kept]
    if len(set(times)) < len(times):
        raise _wrong("Two steps have the same time: make them one.")
    return kept


def named(steps: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Kept steps by names again, as `resolve` takes them."""
    return [
        {
            "after_minutes": step["after_minutes"],
            "roles": list(step["roles"]),
            "teams": [team["slug"] for team in step["teams"]],
            "people": [person["email"] for person in step["people"]],
        }
        for step in steps
    ]


def _step(organization: Organization, step: Mapping[str, Any]) -> dict[str, Any]:
    after = step.get("after_minutes")
    if isinstance(after, bool) or not isinstance(after, int) or after < 1:
        raise _wrong("A step comes after a whole number of minutes, one or more.")
    given = set(step.get("roles", ()))
    if not given <= set(DECIDERS):
        raise _wrong(f"Choose among the roles that may decide: {', '.join(sorted(DECIDERS))}.")
    asked = [role for role in DECIDERS if role in given]
    slugs = {_name(team, "slug") for team in step.get("teams", ())}
    emails = {_name(person, "email").strip().lower() for person in step.get("people", ())}
    teams = list(organization.teams.filter(slug__in=slugs).order_by("slug"))
    members = Membership.objects.filter(organization=organization, user__email__in=emails, user__is_active=True)
    people = [member.user for member in members.select_related("user").order_by("user__email")]
    missing = sorted(slugs - {team.slug for team in teams}) + sorted(emails - {person.email for person in people})
    if missing:
        raise _wrong(f"There is no {missing[0]} here.")
    unable = [member.user.email for member in members if member.role not in DECIDERS]
    if unable:
        raise _wrong(f"{unable[0]} may not decide: give them a role that may, or choose somebody else.")
    if not (asked or teams or people):
        raise _wrong(f"Say who is asked after {after} minutes.")
    return {
        "after_minutes": after,
        "roles": asked,
        "teams": [{"id": str(team.id), "slug": team.slug} for team in teams],
        "people": [{"id": str(person.id), "email": person.email} for person in people],
    }


def _name(given: str | Mapping[str, str], key: str) -> str:
    """A name, given as one or within what a rule keeps."""
    return given if isinstance(given, str) else given[key]


def _wrong(words: str) -> ValidationError:
    return ValidationError({"escalation": words})
