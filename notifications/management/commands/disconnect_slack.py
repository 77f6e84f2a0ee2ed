"""disconnect_slack [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from notifications.slack import apps


class Command(PeopleCommand):
    help = "Disconnect Slack, and forget its secrets."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)

    def answer(self, **options: Any) -> tuple[Any, str]:
        apps.disconnect(organization=find_organization(options["organization"]), by=COMMAND_LINE)
        return None, "Slack is not connected."
