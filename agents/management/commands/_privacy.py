"""What the commands of privacy share."""

from argparse import ArgumentParser
from typing import Any

from accounts.by import COMMAND_LINE, By
from accounts.management.base import PeopleCommand, find_member, find_organization
from accounts.models import Organization
from agents.models import PrivacyRule
from audit.ids import show_id


class PrivacyCommand(PeopleCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("--by", metavar="EMAIL", help="on whose behalf; else the record names the command line")

    def whose(self, options: dict[str, Any]) -> tuple[Organization, By]:
        """The organization, and who does it."""
        organization = find_organization(options["organization"])
        return organization, find_member(options["by"], organization) if options["by"] else COMMAND_LINE


def as_json(row: PrivacyRule) -> dict[str, Any]:
    names = ("action", "path", "treatment", "subject")
    return {"id": show_id("pvr", row.pk), **{name: getattr(row, name) for name in names}}
