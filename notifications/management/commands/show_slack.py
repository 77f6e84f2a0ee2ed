"""show_slack [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.management.base import PeopleCommand, find_organization
from notifications.management.base import slack_data
from notifications.models import SlackApp


class Command(PeopleCommand):
    help = "Show which Slack workspace is connected."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)

    def answer(self, **options: Any) -> tuple[Any, str]:
        app = SlackApp.objects.filter(organization=find_organization(options["organization"])).first()
        if app is None:
            return None, "Slack is not connected."
        data = slack_data(app)
        return data, "\n".join(f"{name}: {value}" for name, value in data.items() if value not in ("", None))
