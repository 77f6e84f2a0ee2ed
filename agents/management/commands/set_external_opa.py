from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand
from agents.management.commands._external import as_lines, as_opa
from agents.services.external import FIELDS, set_opa


class Command(AgentsCommand):
    help = "Have an external OPA asked about all that would be allowed or asked. It can only tighten."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "url", metavar="URL", help="of the rule, such as https://opa.example.com/v1/data/acme/warden"
        )
        parser.add_argument("--timeout-ms", type=int, default=500, help="no answer by then is a denial (500)")
        for name, words in (
            ("token", "its token"),
            ("ca", "authorities that may have issued its certificate, as PEM"),
            ("certificate", "our certificate, as PEM"),
            ("key", "the certificate's key"),
        ):
            parser.add_argument(f"--{name}-file", metavar="NAME", default="", help=f"in OPA_CREDENTIALS_DIR: {words}")

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        values = {name: options[name] for name in FIELDS}
        row = set_opa(organization=organization, by=self.by(organization, options), **values)
        return as_opa(row), as_lines(row)
