from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from agents.management.commands._base import AgentsCommand
from approvals.evidence import write_evidence


class Command(AgentsCommand):
    help = "Export everything about one agent as a zip."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("agent", metavar="SLUG")
        parser.add_argument("--out", metavar="FILE", required=True)

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options)
        file = Path(options["out"])
        with write_evidence(agent=agent, by=self.by(agent.organization, options)) as zipped:
            file.touch(mode=0o600)
            file.write_bytes(zipped.read())
        return {"agent": agent.slug, "file": str(file)}, str(file)
