"""revoke_grant GRANT [--reason WHY] [--organization SLUG] [--by EMAIL] [--json]"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from agents.management.commands._base import AgentsCommand, ids
from approvals import grants, rules
from approvals.models import Grant
from audit.clock import database_now


class Command(AgentsCommand):
    help = "End a grant at once and for good: the next request of its kind waits for a person again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("grant", metavar="GRANT", help="grt_…, as list_grants prints it")
        parser.add_argument("--reason", default="", help="the record keeps it")

    def run(self, **options: Any) -> tuple[Any, str]:
        rows = Grant.objects.select_related("organization").filter(pk__in=ids("grt", options["grant"]))
        if options["organization"]:
            rows = rows.filter(organization=self.organization(options))
        found = rows.first()
        if found is None:
            raise CommandError(f"There is no grant {options['grant']!r}. Use the id that list_grants prints.")
        by = self.by(found.organization, options)
        try:
            row = grants.revoke(grant_id=found.pk, by=by, organization=found.organization, reason=options["reason"])
        except rules.Refused as refused:
            raise CommandError(refused.reason) from refused
        return grants.as_json(row, database_now()), f"Revoked: {row.words}"
