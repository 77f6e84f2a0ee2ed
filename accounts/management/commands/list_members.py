"""list_members [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.management.base import PeopleCommand, find_organization


class Command(PeopleCommand):
    help = "List the members of an organization."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)

    def answer(self, **options: Any) -> tuple[Any, str]:
        members = (
            find_organization(options["organization"]).memberships.select_related("user").prefetch_related("teams")
        )
        data = [
            {
                "id": str(member.id),
                "email": member.user.email,
                "name": member.user.name,
                "role": member.role,
                "breaks_glass": member.breaks_glass,
                "teams": [team.slug for team in member.teams.all()],
                "active": member.user.is_active,
                "created_at": member.created_at.isoformat(),
            }
            for member in members
        ]
        return data, "\n".join(f"{each['role']:<9} {each['email']}" for each in data) or "Nobody."
