from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand, as_json
from agents.models import ApiKey


class Command(AgentsCommand):
    help = "List keys, by what may be shown of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--agent", metavar="SLUG")

    def run(self, **options: Any) -> tuple[Any, str]:
        if options["agent"]:
            keys = ApiKey.objects.filter(agent=self.agent(options["agent"], options))
        else:
            keys = ApiKey.objects.filter(organization=self.organization(options))
        rows = [as_json(key) for key in keys.select_related("agent")]
        words = [
            f"{row['id']}  {row['mode']}  …{row['last4']}  {row['agent'] or 'all agents'}  {row['name']}"
            f"{'  revoked' if row['revoked_at'] else ''}"
            for row in rows
        ]
        return rows, "\n".join(words)
