from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand
from agents.models import Instance
from agents.services.instances import as_json


class Command(AgentsCommand):
    help = "List the AAP instances of an agent."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--agent", metavar="SLUG", required=True)

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options)
        found = Instance.objects.select_related("key").filter(key__agent=agent).order_by("-key__created_at")
        rows = [as_json(instance) for instance in found]
        words = [
            f"{row['id']}  {row['mode']}  {row['name']}  {row['delivery_url'] or 'no receiver'}"
            f"{'  retired' if row['retired_at'] else ''}"
            for row in rows
        ]
        return rows, "\n".join(words)
