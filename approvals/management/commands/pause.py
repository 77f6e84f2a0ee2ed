"""pause --reason WHY [--agent SLUG] [--action PATTERN] [--organization SLUG] [--by EMAIL] [--json]"""

from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand
from approvals.stops import services
from approvals.stops.shown import as_json


class Command(AgentsCommand):
    help = "The kill switch: deny every check, or those of an agent or of some actions, until two steps resume it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--reason", required=True, help="everybody sees it")
        parser.add_argument("--agent", metavar="SLUG", help="this one only")
        parser.add_argument("--action", default="", help="a name such as stripe.refund, or a wildcard such as stripe.*")

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options) if options["agent"] else None
        organization = agent.organization if agent else self.organization(options)
        row = services.stop(
            organization=organization,
            by=self.by(organization, options),
            reason=options["reason"],
            agent=agent,
            pattern=options["action"],
        )
        return as_json(row), f"{row.stop_id}: stopped {row.words}. Checks are denied."
