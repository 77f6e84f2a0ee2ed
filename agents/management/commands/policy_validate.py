from typing import Any

from agents.management.commands._policy import PolicyCommand
from agents.services import policy


class Command(PolicyCommand):
    help = "Check policy files against what there is, and change nothing."

    def run(self, **options: Any) -> tuple[Any, str]:
        files = self.files(options)
        organization = self.organization(options)
        policy.plan(organization, files, values=self.values(files), prune=options["prune"])
        return {"valid": True, "problems": []}, "Valid."
