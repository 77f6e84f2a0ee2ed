"""create_user EMAIL --role ROLE [--organization SLUG] [--name NAME] [--password-stdin] [--json]"""

import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.management.base import CommandError
from django.core.validators import validate_email
from django.db import transaction

from accounts import roles
from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from accounts.models import Organization, User
from accounts.services import members, organizations, people


class Command(PeopleCommand):
    help = (
        "Make a person and let them belong to an organization; a person who exists is only added to it. Without "
        "--password-stdin they log in by single sign-on or reset their password by mail. The first owner of an "
        "installation without organizations gets one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("email")
        parser.add_argument("--role", required=True, choices=list(roles.ROLES))
        parser.add_argument("--name", default="")
        parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")

    def answer(self, **options: Any) -> tuple[Any, str]:
        email, role = options["email"].strip().lower(), options["role"]
        validate_email(email)
        password = sys.stdin.readline().rstrip("\r\n") if options["password_stdin"] else None
        if password == "":
            raise CommandError("Standard input held no password.")
        with transaction.atomic():
            organization = self._organization(options["organization"], role)
            user = User.objects.filter(email=email).first()
            new = user is None
            if user is None:
                if password is not None:
                    validate_password(password, User(email=email, name=options["name"]))
                user = people.create(email=email, name=options["name"], password=password)
            elif password is not None:
                raise CommandError(
                    f"There is an account for {email} already: its password stays. Leave it out to add it."
                )
            members.add(organization=organization, user=user, role=role, by=COMMAND_LINE)
        data = {
            "id": str(user.id),
            "email": user.email,
            "name": user.name,
            "role": role,
            "organization": organization.slug,
            "created": new,
        }
        return data, f"{user.email} is {roles.ROLES[role].lower()} of {organization}."

    def _organization(self, slug: str | None, role: str) -> Organization:
        if slug is None and role == roles.OWNER and not Organization.objects.exists():
            return organizations.create(name="My organization", by=COMMAND_LINE)
        return find_organization(slug)
