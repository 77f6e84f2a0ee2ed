"""delete_stream STREAM [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from notifications.management.streams import find_stream, stream_data
from notifications.streams import services


class Command(PeopleCommand):
    help = "Delete a stream. What the receiver has, it keeps."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("stream", help="its identifier or name")

    def answer(self, **options: Any) -> tuple[Any, str]:
        stream = find_stream(find_organization(options["organization"]), options["stream"])
        data = stream_data(stream)
        services.delete(stream=stream, by=COMMAND_LINE)
        return data, f"{stream.name} is deleted."
