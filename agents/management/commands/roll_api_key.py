from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand, as_json
from agents.services import keys


class Command(AgentsCommand):
    help = "Create a key like another one, which goes on working for some hours."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("key", metavar="key_…")
        parser.add_argument("--overlap-hours", type=int, default=24, metavar="N", help="0 to 168; 24 unless given")

    def run(self, **options: Any) -> tuple[Any, str]:
        old = self.key(options["key"], options)
        key, secret = keys.roll_key(
            key=old, by=self.by(old.organization, options), overlap_hours=options["overlap_hours"]
        )
        return {"api_key": secret, **as_json(key)}, secret
