"""/api/banned-identities: SPIFFE IDs that nobody here may be, and that nobody may do anything to."""

from typing import Annotated

from msgspec import Meta, Struct

from agents.models import BannedIdentity
from agents.services import identities as services
from warden.api import finding
from warden.api.answers import agents as answers
from warden.api.bodies import PLAIN
from warden.api.endpoint import Call, endpoint


class NewBan(Struct, forbid_unknown_fields=True):
    spiffe_id: Annotated[str, Meta(min_length=1, max_length=2_048)]
    reason: Annotated[str, Meta(min_length=1, max_length=500, pattern=PLAIN)]


@endpoint("GET", "banned-identities", "agents:read")
def list_banned_identities(call: Call) -> list[answers.BannedIdentity]:
    """List banned SPIFFE IDs."""
    rows = BannedIdentity.objects.filter(organization=call.organization)
    return [answers.banned_identity(row) for row in rows]


@endpoint("POST", "banned-identities", "agents:write", 201)
def ban_identity(call: Call, body: NewBan) -> answers.BannedIdentity:
    """Ban a SPIFFE ID, and the agent that has it. Banned already: that ban stays."""
    row = services.ban_identity(
        organization=call.organization, by=call.membership, spiffe_id=body.spiffe_id, reason=body.reason
    )
    return answers.banned_identity(BannedIdentity.objects.get(pk=row.pk))


@endpoint("DELETE", "banned-identities/{ban_id}", "agents:write", 204)
def lift_ban(call: Call, ban_id: str) -> None:
    """Lift a ban. An agent that has the SPIFFE ID stays banned until it is activated."""
    rows = BannedIdentity.objects.filter(organization=call.organization).select_related("organization")
    services.lift_identity(identity=finding.one(rows, "bid", ban_id, "Ban"), by=call.membership)
