"""rotate_signing_key [--lost] [--json]"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from accounts.by import COMMAND_LINE, tell
from accounts.management.base import PeopleCommand
from accounts.models import Organization
from audit import note, sequencer, signing
from audit.log import SigningKey


class Command(PeopleCommand):
    help = "Sign the record with a new key from now on. The old one signs the new one, and goes on verifying."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--lost", action="store_true", help="the old key is lost: nothing vouches for the new one but you"
        )

    def answer(self, **options: Any) -> tuple[Any, str]:
        try:
            with sequencer.connect() as connection:
                signing.rotate_file(connection, lost=options["lost"])
        except signing.Refused as error:
            raise CommandError(str(error)) from error
        key = SigningKey.objects.order_by("-id")[0]
        public = note.encode(bytes(key.public))
        with transaction.atomic():
            for organization in Organization.objects.all():
                tell("record:rotate", organization=organization, by=COMMAND_LINE, public=public, lost=options["lost"])
        data = {"public_key": public, "certificate": key.certificate}
        return data, f"{public} signs the record from now on. Give it to your auditors."
