from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from agents.management.commands._base import AgentsCommand
from agents.models import BannedIdentity
from agents.services.identities import lift_identity


class Command(AgentsCommand):
    help = "Lift the ban of a SPIFFE ID. An agent that has it stays banned until it is activated."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("spiffe_id", metavar="SPIFFE_ID")

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        row = BannedIdentity.objects.filter(organization=organization, spiffe_id=options["spiffe_id"]).first()
        if row is None:
            raise CommandError(f"{options['spiffe_id']} is not banned.")
        lift_identity(identity=row, by=self.by(organization, options))
        return {"spiffe_id": row.spiffe_id}, f"The ban of {row.spiffe_id} is lifted."
