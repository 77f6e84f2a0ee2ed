from typing import Any

from agents.management.commands._base import AgentsCommand, as_json
from agents.words import rule_sentence


class Command(AgentsCommand):
    help = "List approval rules."

    def run(self, **options: Any) -> tuple[Any, str]:
        rules = list(self.organization(options).approval_rules.all())
        words = [
            f"{rule.name}{' (default)' if rule.is_default else ''}: {rule_sentence(rule.snapshot())}" for rule in rules
        ]
        return [as_json(rule) for rule in rules], "\n".join(words)
