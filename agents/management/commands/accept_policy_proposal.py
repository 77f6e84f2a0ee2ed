from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand
from agents.management.commands._policy import broken_as_error
from agents.management.commands._proposals import as_proposal, find_proposal
from agents.services import proposals


class Command(AgentsCommand):
    help = "Apply what somebody else proposed, exactly. --by says who accepts it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("proposal", metavar="PROPOSAL", help="ppr_…")
        parser.add_argument("--digest", required=True, help="of the proposal that was looked at")

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        found, by = find_proposal(organization, options["proposal"]), self.by(organization, options)
        with broken_as_error():
            proposals.accept(proposal=found, by=by, digest=options["digest"])
        row = find_proposal(organization, options["proposal"])
        return as_proposal(row), f"Applied: {row.summary}."
