"""/api/stops: the kill switch."""

from typing import Annotated

from msgspec import Meta, Struct

from agents import models
from approvals.stops import freezing, services
from approvals.stops.shown import as_json
from warden.api import finding
from warden.api.bodies import PLAIN, Line
from warden.api.endpoint import Call, endpoint

Why = Annotated[str, Meta(min_length=1, max_length=500, pattern=PLAIN)]


class NewStop(Struct, forbid_unknown_fields=True):
    """Of what the kill switch is to hold. Nothing named: everything."""

    reason: Annotated[Why, Meta(description="Everybody sees it.")]
    agent: Annotated[Line | None, Meta(description="Slug or id; null: every agent.")] = None
    pattern: Annotated[Line | None, Meta(description="An action or a wildcard; null: every action.")] = None


class AskRelease(Struct, forbid_unknown_fields=True):
    reason: Annotated[Why, Meta(description="Why it can go on.")]


class ConfirmRelease(Struct, forbid_unknown_fields=True):
    typed: Annotated[Line, Meta(description="What goes on: the pattern, agent or organization, by its slug.")] = ""


class Stop(Struct):
    """What stands still, and who wants it to go on."""

    id: str
    agent: Annotated[str | None, Meta(description="Slug; null: every agent.")]
    pattern: Annotated[str | None, Meta(description="An action or a wildcard; null: every action.")]
    reason: str
    stopped_at: str
    stopped_by: str
    asked_at: Annotated[str | None, Meta(description="When its release was asked for.")]
    asked_by: str | None
    release_reason: str | None
    released_at: str | None
    released_by: str | None


@endpoint("GET", "stops", "settings:read")
def list_stops(call: Call) -> list[Stop]:
    """List what the kill switch holds now."""
    return [_shown(row) for row in freezing.active(call.organization)]


@endpoint("POST", "stops", "settings:write", 201)
def create_stop(call: Call, body: NewStop) -> Stop:
    """Stop everything, one agent or some actions, at once. What is stopped already is answered as it is."""
    agent = finding.agent(call, body.agent) if body.agent else None
    return _shown(
        services.stop(
            organization=call.organization,
            by=call.membership,
            reason=body.reason,
            agent=agent,
            pattern=body.pattern or "",
        )
    )


@endpoint("POST", "stops/{stop_id}/ask", "settings:write")
def ask_release(call: Call, stop_id: str, body: AskRelease) -> Stop:
    """Ask to release a stop: the first of two steps."""
    return _shown(services.ask(stop=_find(call, stop_id), by=call.membership, reason=body.reason))


@endpoint("POST", "stops/{stop_id}/release", "settings:write")
def release_stop(call: Call, stop_id: str, body: ConfirmRelease) -> Stop:
    """Release a stop: the second step. Another owner or admin than the one who asked; where there is none, `typed`."""
    return _shown(services.release(stop=_find(call, stop_id), by=call.membership, typed=body.typed))


@endpoint("POST", "stops/{stop_id}/keep", "settings:write")
def keep_stop(call: Call, stop_id: str) -> Stop:
    """Take back that the release of a stop was asked for."""
    return _shown(services.keep(stop=_find(call, stop_id), by=call.membership))


def _find(call: Call, text: str) -> models.Stop:
    rows = models.Stop.objects.filter(organization=call.organization).select_related("organization", "agent")
    return finding.one(rows, "stp", text, "Stop")


def _shown(row: models.Stop) -> Stop:
    return Stop(**as_json(row))
