"""What the commands of this room share: which organization, `--json`, refusals as errors a script can see."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.models import Membership, Organization, User
from accounts.rules import Refused


class PeopleCommand(BaseCommand):
    """Exit code 0 and, with --json, one JSON object or list on standard output; otherwise 1 and a sentence."""

    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="answer in JSON")

    def add_organization(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organization", metavar="SLUG", help="needed where there are several")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            data, words = self.answer(**options)
        except Refused as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(json.dumps(data) if options["json"] else words)

    def answer(self, **options: Any) -> tuple[Any, str]:
        """Does it. Returns what to say, as JSON data and in words."""
        raise NotImplementedError


def find_organization(slug: str | None) -> Organization:
    """The organization with that slug, or the only one. Raises CommandError."""
    if slug:
        found = Organization.objects.filter(slug=slug).first()
        if found is None:
            raise CommandError(f"There is no organization “{slug}”. There are: {_slugs()}.")
        return found
    organizations = list(Organization.objects.all()[:2])
    if not organizations:
        raise CommandError("There is no organization yet. Make one: create_organization NAME")
    if len(organizations) > 1:
        raise CommandError(f"There are several organizations: say --organization with one of {_slugs()}.")
    return organizations[0]


def _slugs() -> str:
    return ", ".join(Organization.objects.order_by("slug").values_list("slug", flat=True)[:50]) or "none"


def find_member(email: str, organization: Organization) -> Membership:
    """The member with that address. Raises CommandError."""
    member = organization.memberships.select_related("user").filter(user__email=email.strip().lower()).first()
    if member is None:
        raise CommandError(f"{email} is not a member of {organization.slug}.")
    return member


def find_user(email: str) -> User:
    """The person with that address. Raises CommandError."""
    user = User.objects.filter(email=email.strip().lower()).first()
    if user is None:
        raise CommandError(f"There is no account for {email}.")
    return user
