"""/api/agents, /api/permissions"""

from typing import Annotated, Any

from django.db import transaction
from msgspec import Meta, Struct

from accounts.models import Membership, Team
from agents.gauges import as_json, gauges
from agents.load import agent_of
from agents.models import Permission
from agents.services import agents as services
from agents.services import permissions as tiers
from audit.clock import database_now
from warden.api import finding
from warden.api.answers import agents as answers
from warden.api.bodies import AgentsQuery, BudgetsQuery, ChangeAgent, ChangePermission, NewAgent, NewPermission
from warden.api.endpoint import Call, endpoint
from warden.api.errors import Failure


def _owned(call: Call, fields: dict[str, Any]) -> dict[str, Any]:
    """`owner_email` and `owner_team` as the people they name; naming one unsets the other. Raises Failure (422)."""
    email, slug = fields.pop("owner_email", ...), fields.pop("owner_team", ...)
    if email and email is not ... and slug and slug is not ...:
        raise Failure(422, "owner_team: an agent has one owner, a person or a team")
    if email is ... and slug is ...:
        return fields
    user = team = None
    if email and email is not ...:
        member = Membership.objects.filter(organization=call.organization, user__email=str(email).lower()).first()
        if member is None:
            raise Failure(422, f"owner_email: {email} is no member")
        user = member.user
    if slug and slug is not ...:
        team = Team.objects.filter(organization=call.organization, slug=slug).first()
        if team is None:
            raise Failure(422, f"owner_team: there is no team {slug}")
    return fields | {"owner_user": user, "owner_team": team}


@endpoint("GET", "agents", "agents:read")
def list_agents(call: Call, query: AgentsQuery) -> list[answers.Agent]:
    """List agents, by slug."""
    rows = finding.agents(call)
    if query.status:
        rows = rows.filter(status=query.status)
    return [answers.agent(row) for row in rows.order_by("slug")[query.offset : query.offset + query.limit]]


@endpoint("POST", "agents", "agents:write", 201)
def create_agent(call: Call, body: NewAgent) -> answers.Agent:
    """Create an agent."""
    fields = _owned(call, finding.given(body))
    return answers.agent(services.create_agent(organization=call.organization, by=call.membership, **fields))


@endpoint("GET", "agents/{agent_id}", "agents:read")
def get_agent(call: Call, agent_id: str) -> answers.Agent:
    """Get an agent, by slug or id."""
    return answers.agent(finding.agent(call, agent_id))


@endpoint("PUT", "agents/{agent_id}", "agents:write")
def change_agent(call: Call, agent_id: str, body: ChangeAgent) -> answers.Agent:
    """Change an agent: the fields that are given, all or none."""
    fields = _owned(call, finding.given(body))
    status, reason = fields.pop("status", None), fields.pop("status_reason")
    with transaction.atomic():
        row = finding.agent(call, agent_id)
        if fields:
            row = services.change_agent(agent=row, by=call.membership, **fields)
        if status:
            row = services.set_status(agent=row, by=call.membership, status=status, reason=reason)
    return answers.agent(finding.agent(call, str(row.pk)))


@endpoint("DELETE", "agents/{agent_id}", "agents:write", 204)
def delete_agent(call: Call, agent_id: str) -> None:
    """Delete an agent, its permissions and its keys. What it did stays in the record."""
    services.delete_agent(agent=finding.agent(call, agent_id), by=call.membership)


@endpoint("POST", "agents/{agent_id}/audited", "agents:write")
def mark_audited(call: Call, agent_id: str) -> answers.Agent:
    """Say that you have reviewed everything the agent may do."""
    row = services.mark_audited(agent=finding.agent(call, agent_id), by=call.membership)
    return answers.agent(finding.agent(call, str(row.pk)))


class Budget(Struct):
    """What was used of one budget in the window of now."""

    of: Annotated[str, Meta(description="The tier's name, or the agent's slug.")]
    per: Annotated[str, Meta(description="hour, day or month")]
    unit: Annotated[str | None, Meta(description="A currency; null: how often.")]
    used: str
    most: str
    ends_at: str


@endpoint("GET", "agents/{agent_id}/budgets", "agents:read")
def list_budgets(call: Call, agent_id: str, query: BudgetsQuery) -> list[Budget]:
    """List an agent's budgets, its own and its tiers', with what was used of them."""
    agent = agent_of(finding.agent(call, agent_id))
    return [Budget(**as_json(each)) for each in gauges(agent, query.mode, database_now())]


@endpoint("GET", "agents/{agent_id}/permissions", "agents:read")
def list_permissions(call: Call, agent_id: str) -> list[answers.Permission]:
    """List an agent's permissions: its tiers, by action and maximum."""
    return [answers.permission(row) for row in finding.agent(call, agent_id).permissions.all()]


@endpoint("POST", "agents/{agent_id}/permissions", "agents:write", 201)
def create_permission(call: Call, agent_id: str, body: NewPermission) -> answers.Permission:
    """Add a permission to an agent."""
    agent = finding.agent(call, agent_id)
    fields = {"effect": "allow"} | _tier(call, finding.given(body))
    return answers.permission(_fresh(tiers.create_permission(agent=agent, by=call.membership, **fields)))


@endpoint("PUT", "permissions/{permission_id}", "agents:write")
def change_permission(call: Call, permission_id: str, body: ChangePermission) -> answers.Permission:
    """Change a permission: the fields that are given. A request that waits keeps the tier it was asked under."""
    row, fields = finding.permission(call, permission_id), _tier(call, finding.given(body))
    return answers.permission(_fresh(tiers.change_permission(permission=row, by=call.membership, **fields)))


@endpoint("DELETE", "permissions/{permission_id}", "agents:write", 204)
def delete_permission(call: Call, permission_id: str) -> None:
    """Delete a permission. From now on nothing is allowed by it."""
    tiers.delete_permission(permission=finding.permission(call, permission_id), by=call.membership)


def _tier(call: Call, fields: dict[str, Any]) -> dict[str, Any]:
    """`requires_approval` as the effect it means, and the rule it names. Raises Failure (422) where two contradict."""
    asks = fields.pop("requires_approval", None)
    if asks is not None:
        effect = "ask" if asks else "allow"
        if fields.setdefault("effect", effect) != effect:
            raise Failure(422, f"requires_approval: contradicts effect {fields['effect']}")
    if text := fields.get("approval_rule"):
        fields["approval_rule"] = finding.rule(call, text)
    return fields


def _fresh(row: Permission) -> Permission:
    """As the database keeps it: defaults and decimals."""
    return Permission.objects.get(pk=row.pk)
