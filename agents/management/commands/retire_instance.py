import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from agents.management.commands._base import AgentsCommand
from agents.models import Instance
from agents.services import instances


class Command(AgentsCommand):
    help = "Retire an AAP instance: its credential ends, what it waits for is cancelled, nothing more is delivered."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("instance", metavar="ID", type=uuid.UUID, help="as list_instances prints it")

    def run(self, **options: Any) -> tuple[Any, str]:
        rows = Instance.objects.select_related("key__organization", "key__agent").filter(pk=options["instance"])
        if options["organization"]:
            rows = rows.filter(key__organization=self.organization(options))
        row = rows.first()
        if row is None:
            raise CommandError(f"There is no instance {options['instance']}. Use the id that list_instances prints.")
        row = instances.retire(instance=row, by=self.by(row.key.organization, options))
        return instances.as_json(row), f"Retired {row}."
