"""single_operator on --confirm SLUG | off [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from accounts.services import organizations


class Command(PeopleCommand):
    help = "Let people approve what their own agents ask, in an organization of one person; or need two again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("switch", choices=["on", "off"])
        parser.add_argument("--confirm", default="", metavar="SLUG", help="the organization's slug, to be sure")

    def answer(self, **options: Any) -> tuple[Any, str]:
        found = find_organization(options["organization"])
        if options["switch"] == "on":
            found = organizations.begin_single_operator(organization=found, by=COMMAND_LINE, typed=options["confirm"])
            words = f"One person is enough in {found}: people may approve what their own agents ask."
        else:
            found = organizations.end_single_operator(organization=found, by=COMMAND_LINE)
            words = f"Two people are needed in {found}."
        since = found.single_operator_since
        return {"organization": found.slug, "single_operator_since": since.isoformat() if since else None}, words
