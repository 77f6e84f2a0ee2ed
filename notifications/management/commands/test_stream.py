"""test_stream STREAM [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from notifications.management.streams import find_stream, stream_data
from notifications.streams import services


class Command(PeopleCommand):
    help = "Send a test through a stream, and say what came of it: exit code 1 where it was not taken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("stream", help="its identifier or name")

    def answer(self, **options: Any) -> tuple[Any, str]:
        stream = find_stream(find_organization(options["organization"]), options["stream"])
        answer, taken = services.test(stream=stream, by=COMMAND_LINE)
        if not taken:
            raise CommandError(answer)
        return stream_data(stream) | {"answer": answer}, answer
