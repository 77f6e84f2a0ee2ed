from typing import Any

from agents.management.commands._base import AgentsCommand, as_json
from agents.models import BannedIdentity


class Command(AgentsCommand):
    help = "List banned SPIFFE IDs."

    def run(self, **options: Any) -> tuple[Any, str]:
        rows = list(BannedIdentity.objects.filter(organization=self.organization(options)))
        lines = [f"{row.spiffe_id}  {row.created_at:%Y-%m-%d %H:%M}  {row.reason}" for row in rows]
        return [as_json(row) for row in rows], "\n".join(lines) or "No SPIFFE ID is banned."
