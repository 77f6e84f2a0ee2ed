"""Make an SVID for development: only where SPIFFE_PROVIDER is mock."""

from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.management.base import PeopleCommand
from agents.spiffe import mock
from agents.spiffe.names import parse


class Command(PeopleCommand):
    requires_migrations_checks = False  # it needs no database
    help = "Make an X.509-SVID and a JWT-SVID for development. Refused unless SPIFFE_PROVIDER is mock."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("spiffe_id", metavar="SPIFFE_ID")
        parser.add_argument("--out", metavar="FOLDER", default=".", help="where svid.pem, svid.key and bundle.pem go")
        parser.add_argument("--minutes", type=int, default=60, help="how long it lasts; 60 if left out")
        parser.add_argument("--dns", action="append", default=[], metavar="NAME", help="for a server's certificate")

    def answer(self, **options: Any) -> tuple[Any, str]:
        if settings.SPIFFE_PROVIDER != "mock":
            raise CommandError("SPIFFE_PROVIDER is not mock: SVIDs come from SPIRE.")
        try:
            name = parse(options["spiffe_id"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        if name.trust_domain not in settings.SPIFFE_TRUST_DOMAINS:
            raise CommandError(f"{name.trust_domain} is not in SPIFFE_TRUST_DOMAINS.")
        lasts = timedelta(minutes=options["minutes"])
        authority = mock.open_or_make(Path(settings.SPIFFE_MOCK_DIR), name.trust_domain)
        svid = authority.x509(str(name), ttl=lasts, dns=options["dns"])
        token = authority.jwt(str(name), settings.SPIFFE_AUDIENCE, ttl=lasts)
        folder = Path(options["out"])
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in (
            ("svid.pem", svid.chain),
            ("svid.key", svid.key),
            ("bundle.pem", authority.certificate.public_bytes(mock.PEM)),
        ):
            made = folder / file
            made.touch(mode=0o600)
            made.write_bytes(content)
        return {"spiffe_id": str(name), "folder": str(folder), "jwt": token}, f"{folder}/svid.pem\n{token}"
