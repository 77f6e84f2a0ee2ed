from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand, as_json, line
from agents.models import Permission
from agents.models.permission import ORDER


class Command(AgentsCommand):
    help = "List tiers, of one agent or of all."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--agent", metavar="SLUG")

    def run(self, **options: Any) -> tuple[Any, str]:
        rows = Permission.objects.select_related("agent", "approval_rule").filter(agent__deleted_at=None)
        if options["agent"]:
            rows = rows.filter(agent=self.agent(options["agent"], options))
        else:
            rows = rows.filter(agent__organization=self.organization(options))
        found = list(rows.order_by("agent__slug", *ORDER))
        return (
            [as_json(row) | {"agent": row.agent.slug} for row in found],
            "\n".join(f"{row.agent.slug}  {line(row)}" for row in found),
        )
