"""create_access_token EMAIL --scope SCOPE [--scope SCOPE …] [--organization SLUG] [--expires-days N] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_member, find_organization
from accounts.models import SCOPES
from accounts.services import tokens


class Command(PeopleCommand):
    help = "Make an access token for a person, for scripts against the management API. It is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("email")
        parser.add_argument("--scope", action="append", required=True, choices=list(SCOPES), help="may be repeated")
        parser.add_argument("--name", default="command line")
        parser.add_argument("--expires-days", type=int, metavar="DAYS", help="without it the token does not expire")

    def answer(self, **options: Any) -> tuple[Any, str]:
        member = find_member(options["email"], find_organization(options["organization"]))
        token, raw = tokens.create(
            member=member, name=options["name"], scopes=options["scope"], days=options["expires_days"], by=COMMAND_LINE
        )
        data = {
            "access_token": raw,
            "id": str(token.id),
            "email": member.user.email,
            "organization": member.organization.slug,
            "scopes": token.scopes,
            "expires_at": token.expires_at.isoformat() if token.expires_at else None,
        }
        return data, raw
