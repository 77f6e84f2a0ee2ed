from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand, as_json
from agents.services import agents


class StatusCommand(AgentsCommand):
    status: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("agent", metavar="SLUG")
        parser.add_argument("--reason", default="", help="kept in the record")

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options)
        by = self.by(agent.organization, options)
        agent = agents.set_status(agent=agent, by=by, status=self.status, reason=options["reason"])
        return as_json(agent), f"{agent.slug} is {agent.status}."
