"""break_glass on EMAIL | off EMAIL [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_member, find_organization
from accounts.services import break_glass


class Command(PeopleCommand):
    help = "Let a member allow single requests outside their approval rule (break-glass), or take that back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("switch", choices=["on", "off"])
        parser.add_argument("email")

    def answer(self, **options: Any) -> tuple[Any, str]:
        member = find_member(options["email"], find_organization(options["organization"]))
        if options["switch"] == "on":
            row = break_glass.allow(member=member, by=COMMAND_LINE)
            words = f"{row.user.email} may allow single requests outside their rule. Owners are told of each."
        else:
            row = break_glass.withdraw(member=member, by=COMMAND_LINE)
            words = f"{row.user.email} may not allow anything outside its rule."
        return {"email": row.user.email, "breaks_glass": row.breaks_glass}, words
