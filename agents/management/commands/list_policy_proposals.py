from typing import Any

from agents.management.commands._base import AgentsCommand
from agents.management.commands._proposals import as_line, as_proposal
from agents.models import PolicyProposal

SHOWN = 100


class Command(AgentsCommand):
    help = "List proposed changes of the policy, newest first."

    def run(self, **options: Any) -> tuple[Any, str]:
        rows = PolicyProposal.objects.filter(organization=self.organization(options))
        found = list(rows.select_related("proposed_by", "decided_by")[:SHOWN])
        return [as_proposal(row) for row in found], "\n".join(map(as_line, found)) or "Nothing was proposed."
