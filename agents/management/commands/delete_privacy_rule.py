"""delete_privacy_rule RULE [--organization SLUG] [--by EMAIL] [--json]"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from agents.management.commands._base import ids
from agents.management.commands._privacy import PrivacyCommand, as_json
from agents.models import PrivacyRule
from agents.services.privacy import delete_rule


class Command(PrivacyCommand):
    help = "Store a field as it is again, from now on. What was stored before stays covered."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("rule", metavar="RULE", help="pvr_…, as list_privacy_rules prints it")

    def answer(self, **options: Any) -> tuple[Any, str]:
        organization, by = self.whose(options)
        row = PrivacyRule.objects.filter(organization=organization, pk__in=ids("pvr", options["rule"])).first()
        if row is None:
            raise CommandError(f"There is no privacy rule {options['rule']!r}.")
        data = as_json(row)
        delete_rule(rule=row, by=by)
        return data, f"Deleted: {row}."
