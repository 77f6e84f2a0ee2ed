from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand, as_json, given
from agents.management.commands.create_agent import add_fields, fields
from agents.services import agents


class Command(AgentsCommand):
    help = "Change what is said of an agent; what is not given stays as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("agent", metavar="SLUG")
        parser.add_argument("--name")
        add_fields(parser)

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options)
        changed = agents.change_agent(
            agent=agent,
            by=self.by(agent.organization, options),
            **given(options, "name"),
            **fields(options, agent.limits),
            **self.owner(agent.organization, options),
        )
        return as_json(changed), f"Changed {changed.slug}."
