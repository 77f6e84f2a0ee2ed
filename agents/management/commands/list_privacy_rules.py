"""list_privacy_rules [--organization SLUG] [--json]"""

from typing import Any

from accounts.management.base import find_organization
from agents.management.commands._privacy import PrivacyCommand, as_json
from agents.models import PrivacyRule


class Command(PrivacyCommand):
    help = "List what is stored withheld or encrypted."

    def answer(self, **options: Any) -> tuple[Any, str]:
        rows = PrivacyRule.objects.filter(organization=find_organization(options["organization"]))
        data = [as_json(row) for row in rows]
        lines = [f"{each['id']}  {row}" for each, row in zip(data, rows, strict=True)]
        return data, "\n".join(lines) or "Everything is stored as it is asked."
