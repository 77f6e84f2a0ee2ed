"""create_stream KIND NAME ADDRESS [--mode live|test] [--format json|ocsf] [--payloads] [--new-only]
[--authority FILE] [--certificate FILE --key FILE] [--by EMAIL] [--json]"""

from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand
from notifications.management.streams import add_fields, fields, stream_data, stream_words
from notifications.models.stream import KINDS
from notifications.streams import services


class Command(AgentsCommand):
    help = "Make a stream of the record to a SIEM. A webhook's signing secret is printed, this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("kind", choices=list(dict(KINDS)))
        parser.add_argument("name")
        parser.add_argument("address", help="host:port, or a URL")
        parser.add_argument("--mode", choices=["live", "test"], default="live")
        parser.add_argument("--payloads", action="store_true", help="also what agents and people wrote")
        parser.add_argument("--new-only", action="store_true", help="begin with what comes from now on")
        add_fields(parser)

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        stream, secret = services.create(
            organization=organization,
            mode=options["mode"],
            kind=options["kind"],
            name=options["name"],
            address=options["address"],
            payloads=options["payloads"],
            everything=not options["new_only"],
            by=self.by(organization, options),
            **fields(options),
        )
        data = stream_data(stream)
        words = stream_words(data)
        if secret:
            words += f"\nIts signing secret, shown this once: {secret}"
        return data | {"secret": secret or None}, words
