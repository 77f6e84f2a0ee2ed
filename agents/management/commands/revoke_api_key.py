from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand, as_json
from agents.services import keys


class Command(AgentsCommand):
    help = "End a key at once and for ever."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("key", metavar="key_…")

    def run(self, **options: Any) -> tuple[Any, str]:
        key = self.key(options["key"], options)
        key = keys.revoke_key(key=key, by=self.by(key.organization, options))
        return as_json(key), f"Revoked {key}."
