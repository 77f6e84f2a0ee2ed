from typing import Any

from agents.management.commands._base import AgentsCommand, as_json
from agents.outlook import Staff
from agents.words import rule_sentence


class Command(AgentsCommand):
    help = "List approval rules."

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        rules, staff = list(organization.approval_rules.all()), Staff(organization)
        words = [
            f"{rule.name}{' (default)' if rule.is_default else ''}: {rule_sentence(rule.snapshot())}"
            f"{' ' + trouble if (trouble := staff.trouble(rule)) else ''}"
            for rule in rules
        ]
        return [as_json(rule) for rule in rules], "\n".join(words)
