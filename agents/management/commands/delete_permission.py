from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from agents.management.commands._base import AgentsCommand, as_json, ids, line
from agents.services import permissions


class Command(AgentsCommand):
    help = "Delete a tier. What it was asked for and is not claimed yet cannot be claimed any more."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("agent", metavar="SLUG")
        parser.add_argument("action", help="its name, or prm_… where several have it")

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options)
        name = options["action"]
        rows = agent.permissions.all()
        found = list(rows.filter(pk__in=ids("prm", name)) if name.startswith("prm_") else rows.filter(action=name))
        if len(found) != 1:
            listed = "\n".join(line(each) for each in found)
            raise CommandError(f"Several tiers could be meant:\n{listed}" if found else f"There is no tier {name!r}.")
        answer, words = as_json(found[0]), f"Deleted {line(found[0])}"
        permissions.delete_permission(permission=found[0], by=self.by(agent.organization, options))
        return answer, words
