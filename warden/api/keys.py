"""/api/keys: agents' credentials. A key itself is in the answer that makes it, and nowhere else, ever."""

from agents.models import ApiKey
from agents.services import keys as services
from warden.api import finding
from warden.api.answers import agents as answers
from warden.api.bodies import KeysQuery, NewKey, RollKey
from warden.api.endpoint import Call, endpoint


@endpoint("GET", "keys", "agents:read")
def list_keys(call: Call, query: KeysQuery) -> list[answers.Key]:
    """List keys, newest first, the revoked ones too."""
    rows = ApiKey.objects.filter(organization=call.organization)
    if query.mode:
        rows = rows.filter(mode=query.mode)
    if query.agent_id:
        rows = rows.filter(agent=finding.agent(call, query.agent_id))
    return [answers.key(row) for row in rows.order_by("-id")[query.offset : query.offset + query.limit]]


@endpoint("POST", "keys", "agents:write", 201)
def create_key(call: Call, body: NewKey) -> answers.NewKeyAnswer:
    """Create a key, for one agent or for all."""
    fields = finding.given(body)
    agent_id = fields.pop("agent_id")
    agent = finding.agent(call, agent_id) if agent_id else None
    return shown(services.create_key(organization=call.organization, by=call.membership, agent=agent, **fields))


@endpoint("POST", "keys/{key_id}/roll", "agents:write", 201)
def roll_key(call: Call, key_id: str, body: RollKey) -> answers.NewKeyAnswer:
    """Make a successor of a key. The old one goes on working for some hours."""
    row = finding.key(call, key_id)
    return shown(services.roll_key(key=row, by=call.membership, overlap_hours=body.overlap_hours))


@endpoint("POST", "keys/{key_id}/revoke", "agents:write")
def revoke_key(call: Call, key_id: str) -> answers.Key:
    """Revoke a key, at once and for ever."""
    return answers.key(services.revoke_key(key=finding.key(call, key_id), by=call.membership))


def shown(created: services.Created) -> answers.NewKeyAnswer:
    """A new key with its secret, this once."""
    return answers.NewKeyAnswer(created.secret, answers.key(ApiKey.objects.get(pk=created.key.pk)))
