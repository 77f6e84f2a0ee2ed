"""resume STOP --reason WHY, then resume STOP --confirm TEXT; or resume STOP --keep"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from agents.management.commands._base import AgentsCommand, ids
from agents.models import Stop
from approvals.stops import services
from approvals.stops.shown import as_json


class Command(AgentsCommand):
    help = (
        "Release a stop, in two steps: ask with --reason, then confirm with --confirm. On behalf of a person (--by) "
        "the second step takes another owner or admin; else what goes on is typed: the action, agent or organization."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("stop", metavar="STOP", help="stp_…, as list_stops prints it")
        step = parser.add_mutually_exclusive_group(required=True)
        step.add_argument("--reason", help="first step: why it can go on")
        step.add_argument("--confirm", metavar="TEXT", help="second step: what goes on")
        step.add_argument("--keep", action="store_true", help="take back that it was asked for")

    def run(self, **options: Any) -> tuple[Any, str]:
        row = self.find(options)
        by = self.by(row.organization, options)
        if options["keep"]:
            row = services.keep(stop=row, by=by)
            return as_json(row), f"{row.words} stays stopped."
        if options["reason"] is not None:
            row = services.ask(stop=row, by=by, reason=options["reason"])
            return as_json(row), f"Asked for. To confirm: resume {row.stop_id} --confirm '{row.confirmation}'"
        row = services.release(stop=row, by=by, typed=options["confirm"])
        return as_json(row), f"Released {row.words}."

    def find(self, options: dict[str, Any]) -> Stop:
        rows = Stop.objects.select_related("organization", "agent").filter(pk__in=ids("stp", options["stop"]))
        if options["organization"]:
            rows = rows.filter(organization=self.organization(options))
        row = rows.first()
        if row is None:
            raise CommandError(f"There is no stop {options['stop']!r}. Use the id that list_stops prints.")
        return row
