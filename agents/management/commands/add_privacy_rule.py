"""add_privacy_rule ACTION PATH redact|encrypt [--subject PATH] [--organization SLUG] [--by EMAIL] [--json]"""

from argparse import ArgumentParser
from typing import Any

from agents.management.commands._privacy import PrivacyCommand, as_json
from agents.models import PrivacyRule
from agents.services.privacy import add_rule


class Command(PrivacyCommand):
    help = "Store a field of these actions withheld (redact) or encrypted from now on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("action", metavar="ACTION", help="stripe.refund, stripe.* or * for all")
        parser.add_argument("path", metavar="PATH", help="the field in the context, such as customer.email")
        parser.add_argument("treatment", choices=PrivacyRule.Treatment.values)
        parser.add_argument("--subject", default="", metavar="PATH", help="the field that says whose it is")

    def answer(self, **options: Any) -> tuple[Any, str]:
        organization, by = self.whose(options)
        given = {name: options[name] for name in ("action", "path", "treatment", "subject")}
        row = add_rule(organization=organization, by=by, **given)
        return as_json(row), f"From now on: {row}."
