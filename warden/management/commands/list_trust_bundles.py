"""What is trusted now, and the fingerprints to pin."""

from typing import Any

from django.core.management.base import CommandError

from accounts.management.base import PeopleCommand
from gateway import trust


class Command(PeopleCommand):
    requires_migrations_checks = False  # it needs no database
    help = "Read each trust domain's bundle and print its fingerprint. Exits with 1 where one cannot be read."

    def answer(self, **options: Any) -> tuple[Any, str]:
        failed: list[str] = []
        bundles = trust.refresh({}, failed.append)
        found = [
            {
                "trust_domain": domain,
                "fingerprint": bundle.fingerprint,
                "x509_authorities": len(bundle.roots),
                "jwt_authorities": len(bundle.keys),
            }
            for domain, bundle in bundles.items()
        ]
        if failed:
            raise CommandError(f"No bundle could be read for {', '.join(failed)}; the log says why.")
        lines = [f"{each['trust_domain']}  {each['fingerprint']}" for each in found]
        return found, "\n".join(lines) or "SPIFFE_TRUST_DOMAINS names no trust domain."
