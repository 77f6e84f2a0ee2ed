from argparse import ArgumentParser
from typing import Any

from agents.management.commands._base import AgentsCommand
from agents.services import rules


class Command(AgentsCommand):
    help = "Delete an approval rule that no tier uses and that is not the default."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name")

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        rule = self.rule(organization, options["name"])
        rules.delete_rule(rule=rule, by=self.by(organization, options))
        return {"deleted": rule.name}, f"Deleted {rule.name}."
