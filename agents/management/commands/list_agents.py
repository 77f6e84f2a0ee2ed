from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand, as_json
from agents.models import Agent


class Command(AgentsCommand):
    help = "List agents."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--status", choices=Agent.Status.values)

    def run(self, **options: Any) -> tuple[Any, str]:
        agents = Agent.objects.select_related("organization", "owner_user", "owner_team").filter(deleted_at=None)
        if options["organization"]:
            agents = agents.filter(organization=self.organization(options))
        if options["status"]:
            agents = agents.filter(status=options["status"])
        found = list(agents.order_by("organization__slug", "slug"))
        return (
            [as_json(agent) | {"organization": agent.organization.slug} for agent in found],
            "\n".join(
                f"{agent.slug}  {agent.status}  {agent.owner or '-'}  {agent.purpose}".strip() for agent in found
            ),
        )
