"""list_streams [--mode live|test] [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.management.base import PeopleCommand, find_organization
from notifications.management.streams import stream_data, stream_words
from notifications.models import Stream


class Command(PeopleCommand):
    help = "List streams: where the record flows to, and how far each is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("--mode", choices=["live", "test"])

    def answer(self, **options: Any) -> tuple[Any, str]:
        rows = Stream.objects.filter(organization=find_organization(options["organization"]))
        if options["mode"]:
            rows = rows.filter(mode=options["mode"])
        found = [stream_data(stream) for stream in rows.order_by("mode", "name")]
        return found, "\n".join(map(stream_words, found)) or "There are no streams."
