"""create_organization NAME [--slug SLUG] [--owner EMAIL] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_user
from accounts.services import organizations


class Command(PeopleCommand):
    help = "Make an organization."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name")
        parser.add_argument("--slug", default="", help="made from the name where it is left out")
        parser.add_argument("--owner", metavar="EMAIL", help="somebody with an account")

    def answer(self, **options: Any) -> tuple[Any, str]:
        owner = find_user(options["owner"]) if options["owner"] else None
        made = organizations.create(name=options["name"], slug=options["slug"], owner=owner, by=COMMAND_LINE)
        return {"id": str(made.id), "slug": made.slug, "name": made.name}, f"Made {made.name} ({made.slug})."
