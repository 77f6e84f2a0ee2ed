"""Banned SPIFFE IDs: ban one, lift a ban."""

from django.core.exceptions import ValidationError

from accounts.models import Organization
from agents.models import Agent, BannedIdentity
from agents.services.agents import set_status
from agents.services.by import Who, person
from agents.services.errors import Conflict
from agents.services.facts import facts
from agents.services.versions import changing
from agents.services.writing import write_event


def ban_identity(*, organization: Organization, by: Who, spiffe_id: str, reason: str) -> BannedIdentity:
    """From the commit on nobody here is allowed anything by this name, or to this callee; the agent that has it is
    banned with it. Banned already: that ban stays. Raises Refused, ValidationError.
    """
    if not reason.strip():
        raise ValidationError({"reason": "Say why: it is what others see while the ban holds."})
    with changing(organization=organization, by=by) as change:
        row = BannedIdentity(organization=organization, spiffe_id=spiffe_id, created_by=person(by))
        row.reason = reason.strip()
        row.clean_fields()
        agent = Agent.objects.filter(organization=organization, spiffe_id=spiffe_id, deleted_at=None).first()
        change.summary, change.agent = f"Banned {spiffe_id}", agent
        if known := BannedIdentity.objects.filter(organization=organization, spiffe_id=spiffe_id).first():
            row = known
        else:
            row.save(force_insert=True)
            _write("ban", row, by, agent, {"after": facts(row), "reason": row.reason})
        if agent:
            set_status(agent=agent, by=by, status=Agent.Status.BANNED, reason=row.reason)
    return row


def lift_identity(*, identity: BannedIdentity, by: Who) -> None:
    """Ends the ban of a name; an agent that has it stays banned until it is activated. Raises Refused, Conflict."""
    with changing(organization=identity.organization, by=by) as change:
        row = BannedIdentity.objects.select_for_update().filter(pk=identity.pk).first()
        if row is None:
            raise Conflict("Somebody else lifted this ban.")
        agent = Agent.objects.filter(
            organization=identity.organization, spiffe_id=row.spiffe_id, deleted_at=None
        ).first()
        change.summary, change.agent = f"Lifted the ban of {row.spiffe_id}", agent
        _write("lift", row, by, agent, {"before": facts(row)})
        row.delete()


def _write(verb: str, row: BannedIdentity, by: Who, agent: Agent | None, data: dict[str, object]) -> None:
    write_event(
        verb=verb,
        row=row,
        by=by,
        organization_id=row.organization_id,
        agent=agent.slug if agent else "",
        data={"spiffe_id": row.spiffe_id} | data,
    )
