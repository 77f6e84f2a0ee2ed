"""set_absence EMAIL --until MOMENT [--from MOMENT] [--delegate EMAIL]… [--note WORDS] [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.by import COMMAND_LINE
from accounts.management.absences import as_json, moment, words
from accounts.management.base import PeopleCommand, find_member, find_organization
from accounts.services import delegations


class Command(PeopleCommand):
    help = "Say that a member is away, and who decides in their name meanwhile."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("email")
        parser.add_argument("--until", type=moment, required=True, help="such as 2027-01-31T12:00Z")
        parser.add_argument("--from", type=moment, dest="starts_at", help="now, if left out")
        parser.add_argument("--delegate", action="append", default=[], metavar="EMAIL", help="may be repeated")
        parser.add_argument("--note", default="")

    def answer(self, **options: Any) -> tuple[Any, str]:
        organization = find_organization(options["organization"])
        row = delegations.create(
            member=find_member(options["email"], organization),
            starts_at=options["starts_at"],
            ends_at=options["until"],
            delegates=[find_member(email, organization) for email in options["delegate"]],
            note=options["note"],
            by=COMMAND_LINE,
        )
        return as_json(row), words(row)
