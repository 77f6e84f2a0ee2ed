from typing import Any

from agents.code.state import current
from agents.code.writing import write
from agents.management.commands._base import AgentsCommand


class Command(AgentsCommand):
    help = "Print agents, permissions, rules and channels as one policy file. Applied elsewhere, it makes the same."

    def run(self, **options: Any) -> tuple[Any, str]:
        text = write(current(self.organization(options)))
        return {"text": text}, text.rstrip("\n")
