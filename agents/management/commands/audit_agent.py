from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand, as_json
from agents.services import agents


class Command(AgentsCommand):
    help = "Say that the person named by --by has reviewed everything the agent may do."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("agent", metavar="SLUG")

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options)
        agent = agents.mark_audited(agent=agent, by=self.by(agent.organization, options))
        return as_json(agent), f"{agent.slug} was audited by {agent.last_audited_by}."
