"""change_stream STREAM [--name NAME] [--address ADDRESS] [--format json|ocsf] [--payloads yes|no] [--pause | --resume]
[--begin-at LOG=INDEX]… [--new-secret] [--authority FILE] [--certificate FILE --key FILE]
[--by EMAIL] [--json]"""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.db import transaction

from agents.management.commands._base import AgentsCommand
from notifications.management.streams import (
    add_fields,
    fields,
    find_stream,
    stream_data,
    stream_words,
)
from notifications.streams import services

SCOPES = {"live": "live", "test": "test", "organization": ""}


def place(text: str) -> tuple[str, int]:
    """An argument such as live=1000."""
    log, _, index = text.partition("=")
    if log not in SCOPES or not index.isascii() or not index.isdigit():
        raise ArgumentTypeError(f"{text!r} is not a log and an index, such as live=1000")
    return SCOPES[log], int(index)


class Command(AgentsCommand):
    help = "Change, pause, resume or move a stream; all of it, or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("stream", help="its identifier or name")
        parser.add_argument("--name")
        parser.add_argument("--address")
        parser.add_argument("--payloads", choices=["yes", "no"])
        switch = parser.add_mutually_exclusive_group()
        switch.add_argument("--pause", action="store_true", help="send nothing until it is resumed; nothing is lost")
        switch.add_argument("--resume", action="store_true", help="go on where it is")
        parser.add_argument(
            "--begin-at", type=place, action="append", default=[], metavar="LOG=INDEX", help="such as live=1000"
        )
        parser.add_argument("--new-secret", action="store_true", help="a webhook's; it is printed, this once")
        add_fields(parser)

    @transaction.atomic
    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        by = self.by(organization, options)
        stream = find_stream(organization, options["stream"])
        given = fields(options, "name", "address")
        if options["payloads"]:
            given["payloads"] = options["payloads"] == "yes"
        if given:
            services.change(stream=stream, by=by, **given)
        for scope, index in options["begin_at"]:
            services.move(stream=stream, scope=scope, index=index, by=by)
        if options["pause"]:
            services.pause(stream=stream, by=by)
        if options["resume"]:
            services.resume(stream=stream, by=by)
        secret = services.rotate_secret(stream=stream, by=by) if options["new_secret"] else ""
        data = stream_data(find_stream(organization, str(stream.pk)))
        words = stream_words(data)
        if secret:
            words += f"\nIts signing secret, shown this once: {secret}"
        return data | {"secret": secret or None}, words
