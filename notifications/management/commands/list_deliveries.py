"""list_deliveries [--state due|sent|failed|moot] [--limit N] [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.management.base import PeopleCommand, find_organization
from notifications.management.base import delivery_data, delivery_words
from notifications.models import Delivery


class Command(PeopleCommand):
    help = "List messages, latest first: sent, waiting, given up."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("--state", choices=Delivery.State.values)
        parser.add_argument("--mode", choices=["live", "test"])
        parser.add_argument("--limit", type=int, default=100)

    def answer(self, **options: Any) -> tuple[Any, str]:
        rows = Delivery.objects.filter(organization=find_organization(options["organization"]))
        for name in ("state", "mode"):
            if options[name]:
                rows = rows.filter(**{name: options[name]})
        found = list(rows.select_related("announcement").order_by("-id")[: max(0, options["limit"])])
        lines = "\n".join(delivery_words(each) for each in found)
        return [delivery_data(each) for each in found], lines or "There are no messages."
