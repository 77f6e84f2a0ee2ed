"""Steps of an escalation: given by names, kept by ids."""

from collections.abc import Iterable, Mapping
from typing import Any

from accounts.models import Organization
from agents.services import deciders

STEPS = 5
FIELD = "escalation"


def resolve(organization: Organization, steps: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a rule keeps of steps such as `{"after_minutes": 30, "roles": ["admin"], "teams": ["finance"], "people":
    ["ann@example.com"]}`, soonest first. Raises ValidationError (for `escalation`) that says what is wrong.
    """
    kept = sorted((_step(organization, step) for step in steps), key=lambda step: step["after_minutes"])
    if len(kept) > STEPS:
        raise deciders.wrong(FIELD, f"At most {STEPS} steps.")
    times = [step["after_minutes"] for step in kept]
    if len(set(times)) < len(times):
        raise deciders.wrong(FIELD, "Two steps have the same time: make them one.")
    return kept


def named(steps: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Kept steps by names again, as `resolve` takes them."""
    return [{"after_minutes": step["after_minutes"], **deciders.named(step)} for step in steps]


def _step(organization: Organization, step: Mapping[str, Any]) -> dict[str, Any]:
    after = step.get("after_minutes")
    if isinstance(after, bool) or not isinstance(after, int) or after < 1:
        raise deciders.wrong(FIELD, "A step comes after a whole number of minutes, one or more.")
    who = deciders.resolve(organization, step, FIELD)
    if not any(who.values()):
        raise deciders.wrong(FIELD, f"Say who is asked after {after} minutes.")
    return {"after_minutes": after, **who}
