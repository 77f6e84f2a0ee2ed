"""/api/policy/shadow: a policy that is asked beside the one in force, and never answers."""

from typing import Annotated

from msgspec import Meta, Struct

from agents.code.reading import File
from agents.models import ShadowPolicy
from agents.services import shadow as services
from warden.api.answers import Moment
from warden.api.bodies import PLAIN
from warden.api.endpoint import Call, endpoint
from warden.api.errors import missing
from warden.api.policy import PolicyFile
from warden.api.policy_trials import BacktestGroup


class SetShadow(Struct, forbid_unknown_fields=True):
    files: Annotated[list[PolicyFile], Meta(min_length=1, max_length=20)]
    source: Annotated[str, Meta(max_length=200, pattern=PLAIN)] = ""


class Shadow(Struct):
    """What the shadow said of the newest live checks since it was set, five thousand at most."""

    set_at: Moment
    set_by: str | None
    source: str
    looked_at: int
    differs: int
    groups: list[BacktestGroup]
    more: Annotated[bool, Meta(description="Whether there are older ones that were not looked at.")]


def _answer(row: ShadowPolicy) -> Shadow:
    found = services.compare(row)
    return Shadow(
        row.set_at,
        row.set_by.email if row.set_by else None,
        row.source,
        found.looked_at,
        found.differs,
        [BacktestGroup(*key, count) for key, count in found.groups.most_common()],  # type: ignore[arg-type]
        found.more,
    )


@endpoint("GET", "policy/shadow", "logs:read")
def get_shadow(call: Call) -> Shadow:
    """Get what the shadow policy would have decided otherwise."""
    row = ShadowPolicy.objects.filter(organization=call.organization).select_related("set_by").first()
    if row is None:
        raise missing("Shadow")
    return _answer(row)


@endpoint("PUT", "policy/shadow", "agents:write")
def set_shadow(call: Call, body: SetShadow) -> Shadow:
    """Have what files would make be asked from now on, beside the policy. Nobody gets its answers."""
    files = [File(each.name, each.text) for each in body.files]
    row = services.set_shadow(organization=call.organization, by=call.membership, files=files, source=body.source)
    return _answer(row)


@endpoint("DELETE", "policy/shadow", "agents:write", 204)
def end_shadow(call: Call) -> None:
    """End the shadow. What was recorded stays."""
    services.end_shadow(organization=call.organization, by=call.membership)
