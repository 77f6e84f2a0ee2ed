"""end_absence EMAIL [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.by import COMMAND_LINE
from accounts.management.absences import as_json
from accounts.management.base import PeopleCommand, find_member, find_organization
from accounts.services import delegations
from audit.clock import database_now


class Command(PeopleCommand):
    help = "Call off every absence of a member that runs or is to come. What was decided meanwhile stays decided."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("email")

    def answer(self, **options: Any) -> tuple[Any, str]:
        member = find_member(options["email"], find_organization(options["organization"]))
        rows = list(delegations.current(member, database_now()))
        for row in rows:
            delegations.end(delegation=row, by=COMMAND_LINE)
        return [as_json(row) for row in rows], f"Called off {len(rows)}."
