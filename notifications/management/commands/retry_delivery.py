"""retry_delivery DELIVERY [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from notifications.management.base import delivery_data, delivery_words, find_delivery
from notifications.services import deliveries


class Command(PeopleCommand):
    help = "Have a message that waits, or was given up, sent now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("delivery", help="dlv_…")

    def answer(self, **options: Any) -> tuple[Any, str]:
        organization = find_organization(options["organization"])
        found = deliveries.retry(delivery=find_delivery(organization, options["delivery"]), by=COMMAND_LINE)
        found = find_delivery(organization, str(found.pk))
        return delivery_data(found), delivery_words(found)
