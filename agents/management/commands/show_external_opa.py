from argparse import ArgumentParser
from typing import Any

from asgiref.sync import async_to_sync

from agents.management.commands._base import AgentsCommand
from agents.management.commands._external import as_lines, as_opa
from agents.models import ExternalOpa
from agents.services.external import try_opa


class Command(AgentsCommand):
    help = "Show the external OPA that is asked, if any."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--try", action="store_true", dest="trying", help="ask it something now, and say what it says"
        )

    def run(self, **options: Any) -> tuple[Any, str]:
        row = ExternalOpa.objects.filter(organization=self.organization(options)).first()
        if row is None:
            return None, "No external OPA is asked."
        if not options["trying"]:
            return as_opa(row), as_lines(row)
        said = async_to_sync(try_opa)(row.facts)
        return as_opa(row) | {
            "tried": said.facts
        }, f"{as_lines(row)}\nit said: {said.outcome} {said.facts['reason']}".rstrip()
