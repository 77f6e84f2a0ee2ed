"""connect_slack --bot-token-file FILE [--signing-secret-file FILE | --app-token-file FILE] [--json]"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from notifications.management.base import slack_data
from notifications.slack import apps


class Command(PeopleCommand):
    help = "Connect a Slack workspace, or change its secrets. They are read from files, for others see arguments."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("--bot-token-file", metavar="FILE", help="xoxb-…; needed the first time")
        parser.add_argument("--signing-secret-file", metavar="FILE", help="not needed with Socket Mode")
        parser.add_argument("--app-token-file", metavar="FILE", help="xapp-…, for Socket Mode")

    def answer(self, **options: Any) -> tuple[Any, str]:
        organization = find_organization(options["organization"])
        apps.check_by_hand(organization)
        names = ("bot_token", "signing_secret", "app_token")
        app = apps.connect(
            organization=organization, by=COMMAND_LINE, **{name: _read(options[f"{name}_file"]) for name in names}
        )
        return slack_data(app), f"Connected to {app}."


def _read(name: str | None) -> str:
    try:
        return Path(name).read_text("utf-8").strip() if name else ""
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"A file cannot be read: {error}") from error
