"""invite EMAIL --role ROLE [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from django.core.validators import validate_email

from accounts import roles
from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from accounts.services import invite


class Command(PeopleCommand):
    help = "Invite somebody by mail. The link is printed too, this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("email")
        parser.add_argument("--role", required=True, choices=list(roles.ROLES))

    def answer(self, **options: Any) -> tuple[Any, str]:
        validate_email(options["email"])
        organization = find_organization(options["organization"])
        issued = invite.invite(organization=organization, email=options["email"], role=options["role"], by=COMMAND_LINE)
        invitation = issued.invitation
        data = {
            "id": str(invitation.id),
            "email": invitation.email,
            "role": invitation.role,
            "organization": organization.slug,
            "expires_at": invitation.expires_at.isoformat(),
            "link": issued.link,
            "mailed": not issued.mail_error,
        }
        said = issued.mail_error or f"A mail is on its way to {invitation.email}."
        return data, f"{said}\n{issued.link}"
