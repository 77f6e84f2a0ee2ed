from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand, as_json
from agents.services.identities import ban_identity


class Command(AgentsCommand):
    help = "Ban a SPIFFE ID, and the agent that has it: nobody is allowed anything by it, or to it, from now on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("spiffe_id", metavar="SPIFFE_ID")
        parser.add_argument("--reason", required=True, help="kept in the record")

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        by = self.by(organization, options)
        row = ban_identity(organization=organization, by=by, spiffe_id=options["spiffe_id"], reason=options["reason"])
        return as_json(row), f"{row.spiffe_id} is banned."
