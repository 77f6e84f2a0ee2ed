from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand, as_json


class Command(AgentsCommand):
    help = "List the tokens that make AAP instances, by what may be shown of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--agent", metavar="SLUG", required=True)

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options)
        rows = [as_json(row) for row in agent.provisioners.select_related("agent")]
        words = [
            f"{row['id']}  {row['mode']}  …{row['last4']}  {row['name']}{'  revoked' if row['revoked_at'] else ''}"
            for row in rows
        ]
        return rows, "\n".join(words)
