from argparse import ArgumentParser
from typing import Any

from agents.management.commands._policy import PolicyCommand
from agents.management.commands._proposals import as_proposal, find_proposal
from agents.services import proposals


class Command(PolicyCommand):
    help = "Propose policy files for somebody else to accept. --by says who proposes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--source", default="", help="where the files come from, such as a commit")

    def run(self, **options: Any) -> tuple[Any, str]:
        files, organization = self.files(options), self.organization(options)
        made = proposals.propose(
            organization=organization,
            by=self.by(organization, options),
            files=files,
            source=options["source"],
            prune=options["prune"],
        )
        row = find_proposal(organization, made.proposal_id)
        return as_proposal(row), f"{row.words}\n\nProposed as {row.proposal_id}: {row.summary}."
