"""list_absences [--organization SLUG] [--json]"""

from argparse import ArgumentParser
from typing import Any

from accounts.management.absences import as_json, words
from accounts.management.base import PeopleCommand, find_organization
from accounts.models import Delegation
from audit.clock import database_now


class Command(PeopleCommand):
    help = "List who is away or will be, and who decides in their name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)

    def answer(self, **options: Any) -> tuple[Any, str]:
        rows = list(
            Delegation.objects.filter(
                organization=find_organization(options["organization"]), ends_at__gt=database_now(), ended_at=None
            )
        )
        return [as_json(row) for row in rows], "\n".join(map(words, rows)) or "Nobody is away."
