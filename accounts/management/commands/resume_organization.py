"""resume_organization [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from accounts.services import organizations


class Command(PeopleCommand):
    help = "End a pause: agents are decided by their permissions again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)

    def answer(self, **options: Any) -> tuple[Any, str]:
        organization = organizations.resume(organization=find_organization(options["organization"]), by=COMMAND_LINE)
        return {"organization": organization.slug, "paused_at": None}, f"{organization} is not paused."
