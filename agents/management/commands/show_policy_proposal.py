from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand
from agents.management.commands._proposals import as_line, as_proposal, find_proposal


class Command(AgentsCommand):
    help = "Show a proposed change of the policy: what it changes, and its digest."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("proposal", metavar="PROPOSAL", help="ppr_…")

    def run(self, **options: Any) -> tuple[Any, str]:
        row = find_proposal(self.organization(options), options["proposal"])
        files = [f"--- {file['name']}\n{file['text']}" for file in row.files]
        return as_proposal(row) | {"files": row.files}, "\n\n".join([as_line(row), row.words, row.digest, *files])
