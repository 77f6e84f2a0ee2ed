from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand
from agents.management.commands._proposals import as_proposal, find_proposal
from agents.services import proposals


class Command(AgentsCommand):
    help = "Reject a proposed change, or withdraw one's own. --by says who does. Nothing is changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("proposal", metavar="PROPOSAL", help="ppr_…")
        parser.add_argument("--reason", required=True, help="kept in the record, and told to who proposed it")

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        found = find_proposal(organization, options["proposal"])
        proposals.reject(proposal=found, by=self.by(organization, options), reason=options["reason"])
        row = find_proposal(organization, options["proposal"])
        return as_proposal(row), f"Rejected: {row.reason}"
