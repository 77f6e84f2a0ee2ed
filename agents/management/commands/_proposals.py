"""What the commands of proposed changes share."""

from typing import Any

from django.core.management.base import CommandError

from accounts.models import Organization
from agents.models import PolicyProposal
from audit.ids import read_id


def find_proposal(organization: Organization, text: str) -> PolicyProposal:
    """The proposal `ppr_…` of this organization. Raises CommandError."""
    rows = PolicyProposal.objects.filter(organization=organization, pk__in=[read_id("ppr", text)])
    row = rows.select_related("organization", "proposed_by", "decided_by").first()
    if row is None:
        raise CommandError(f"There is no proposal {text!r}.")
    return row


def as_proposal(row: PolicyProposal) -> dict[str, Any]:
    """It, for scripts."""
    return {
        "id": row.proposal_id,
        "state": row.state,
        "digest": row.digest,
        "summary": row.summary,
        "text": row.words,
        "source": row.source,
        "proposed_at": row.proposed_at.isoformat(),
        "proposed_by": row.proposed_by.email if row.proposed_by else None,
        "decided_at": row.decided_at.isoformat() if row.decided_at else None,
        "decided_by": row.decided_by.email if row.decided_by else None,
        "reason": row.reason,
    }


def as_line(row: PolicyProposal) -> str:
    """It, in one line."""
    who = row.proposed_by.email if row.proposed_by else "somebody who is gone"
    return f"{row.proposal_id}  {row.state}  {row.summary}, by {who}"
