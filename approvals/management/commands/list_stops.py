"""list_stops [--all] [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand
from approvals.stops.shown import as_json


class Command(AgentsCommand):
    help = "List what the kill switch holds now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--all", action="store_true", help="and what was released")

    def run(self, **options: Any) -> tuple[Any, str]:
        rows = self.organization(options).stops.select_related("agent", "organization")
        found = list(rows if options["all"] else rows.filter(released_at=None))
        lines = [
            f"{row.stop_id}  {row.words}  {row.stopped_at:%Y-%m-%d %H:%M} UTC  {row.stopped_by_label}: {row.reason}"
            + ("  (released)" if row.released_at else "  (release asked)" if row.asked_at else "")
            for row in found
        ]
        return [as_json(row) for row in found], "\n".join(lines) or "Nothing is stopped."
