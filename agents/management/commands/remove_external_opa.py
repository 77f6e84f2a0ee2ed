from typing import Any

from agents.management.commands._base import AgentsCommand
from agents.services.external import remove_opa


class Command(AgentsCommand):
    help = "Ask no external OPA any more."

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        remove_opa(organization=organization, by=self.by(organization, options))
        return None, "No external OPA is asked."
