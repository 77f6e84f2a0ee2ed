"""list_grants [--all] [--agent SLUG] [--mode MODE] [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand
from approvals.grants import as_json
from approvals.models import Grant
from audit.clock import database_now


class Command(AgentsCommand):
    help = "List grants that can still be used."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--all", action="store_true", help="and those that ended")
        parser.add_argument("--agent", metavar="SLUG", help="of this one only")
        parser.add_argument("--mode", choices=["live", "test"], default="live")

    def run(self, **options: Any) -> tuple[Any, str]:
        rows = Grant.objects.filter(organization=self.organization(options), mode=options["mode"])
        if options["agent"]:
            rows = rows.filter(agent_slug=options["agent"])
        now = database_now()
        found = [row for row in rows.order_by("-id") if options["all"] or row.state(now) == "active"]
        lines = [
            f"{row.grant_id}  {row.words}  {row.uses} of {row.max_uses} used  {row.state(now)}"
            f" until {row.expires_at:%Y-%m-%d %H:%M} UTC  {row.granted_by_label}"
            if row.state(now) == "active"
            else f"{row.grant_id}  {row.words}  {row.uses} of {row.max_uses} used  {row.state(now)}"
            for row in found
        ]
        return [as_json(row, now) for row in found], "\n".join(lines) or "There are no grants."
