from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from agents.management.commands._base import AgentsCommand, as_json, ids
from agents.models import Provisioner
from agents.services import provisioners


class Command(AgentsCommand):
    help = "End a provisioner token at once and for ever. The instances that it made stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("token", metavar="prv_…")

    def run(self, **options: Any) -> tuple[Any, str]:
        rows = Provisioner.objects.select_related("organization", "agent").filter(pk__in=ids("prv", options["token"]))
        if options["organization"]:
            rows = rows.filter(organization=self.organization(options))
        row = rows.first()
        if row is None:
            raise CommandError(
                f"There is no provisioner token {options['token']!r}. Use the id that list_provisioner_tokens prints."
            )
        row = provisioners.revoke_provisioner(provisioner=row, by=self.by(row.organization, options))
        return as_json(row), f"Revoked {row}."
