"""/api/grants: more of the same kind, allowed with an approval."""

from django.db.models import F

from approvals import grants
from approvals.models import Grant
from audit.clock import database_now
from warden.api import finding
from warden.api.answers import approvals as answers
from warden.api.bodies import GrantsQuery, Revoke
from warden.api.endpoint import Call, endpoint

SHOWN = 500


@endpoint("GET", "grants", "approvals:read")
def list_grants(call: Call, query: GrantsQuery) -> list[answers.Grant]:
    """List grants, newest first."""
    now = database_now()
    rows = Grant.objects.filter(organization=call.organization, mode=query.mode).select_related("approval")
    if query.agent_id:
        rows = rows.filter(agent=finding.agent(call, query.agent_id))
    if query.active:
        rows = rows.filter(revoked_at=None, expires_at__gt=now, uses__lt=F("max_uses"))
    return [answers.grant(row, now) for row in rows.order_by("-id")[:SHOWN]]


@endpoint("GET", "grants/{grant_id}", "approvals:read")
def get_grant(call: Call, grant_id: str) -> answers.Grant:
    """Get a grant."""
    return answers.grant(_one(call, grant_id), database_now())


@endpoint("POST", "grants/{grant_id}/revoke", "approvals:decide")
def revoke_grant(call: Call, grant_id: str, body: Revoke) -> answers.Grant:
    """End a grant, at once. Requests of its kind wait for a person again."""
    row = _one(call, grant_id)
    grants.revoke(grant_id=row.pk, by=call.membership.user, organization=call.organization, reason=body.reason)
    return get_grant(call, grant_id)


def _one(call: Call, grant_id: str) -> Grant:
    rows = Grant.objects.filter(organization=call.organization).select_related("approval")
    return finding.one(rows, "grt", grant_id, "Grant")
