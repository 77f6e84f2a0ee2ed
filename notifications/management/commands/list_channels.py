"""list_channels [--mode live|test] [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.management.base import PeopleCommand, find_organization
from notifications.management.base import channel_data
from notifications.models import Channel


class Command(PeopleCommand):
    help = "List channels: where the organization hears of things."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("--mode", choices=["live", "test"])

    def answer(self, **options: Any) -> tuple[Any, str]:
        rows = Channel.objects.filter(organization=find_organization(options["organization"]))
        if options["mode"]:
            rows = rows.filter(mode=options["mode"])
        found = [channel_data(channel) for channel in rows.order_by("mode", "name")]
        lines = [
            f"{each['id']}  {each['mode']}  {each['transport']:<8}{each['name']}: {each['hears_of']}"
            + ("" if each["is_active"] else f" DISABLED: {each['disabled_because']}")
            for each in found
        ]
        return found, "\n".join(lines) or "There are no channels."
