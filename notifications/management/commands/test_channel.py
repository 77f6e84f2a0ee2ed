"""test_channel CHANNEL [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from notifications import delivery
from notifications.management.base import delivery_data, delivery_words, find_channel, find_delivery
from notifications.services import channels


class Command(PeopleCommand):
    help = "Send a test through a channel, and say what came of it: exit code 1 where it was not taken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("channel", help="its identifier or name")

    def answer(self, **options: Any) -> tuple[Any, str]:
        organization = find_organization(options["organization"])
        sent = channels.send_test(channel=find_channel(organization, options["channel"]), by=COMMAND_LINE)
        delivery.deliver(sent.pk)  # here and now; where a worker was faster, what it came to is read below
        found = find_delivery(organization, str(sent.pk))
        if found.error:
            raise CommandError(delivery_words(found))
        return delivery_data(found), delivery_words(found)
