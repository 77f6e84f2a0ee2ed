from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand
from agents.services import agents


class Command(AgentsCommand):
    help = "Delete an agent with its permissions and keys; its approvals and the record stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("agent", metavar="SLUG")

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options)
        agents.delete_agent(agent=agent, by=self.by(agent.organization, options))
        return {"deleted": agent.slug}, f"Deleted {agent.slug}."
