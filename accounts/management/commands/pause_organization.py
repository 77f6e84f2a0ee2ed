"""pause_organization --reason WHY [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from accounts.services import organizations


class Command(PeopleCommand):
    help = "The kill switch: deny every check of every agent of an organization until resume_organization."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("--reason", required=True)

    def answer(self, **options: Any) -> tuple[Any, str]:
        organization = find_organization(options["organization"])
        paused = organizations.pause(organization=organization, by=COMMAND_LINE, reason=options["reason"])
        at = paused.paused_at.isoformat() if paused.paused_at else None
        data = {"organization": paused.slug, "paused_at": at, "reason": paused.paused_reason}
        return data, f"{paused} is paused: every check is denied."
