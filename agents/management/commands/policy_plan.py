from typing import Any

from agents.management.commands._policy import PolicyCommand, as_change
from agents.services import policy


class Command(PolicyCommand):
    help = "Say what policy files would change, and change nothing. The digest is what policy_apply takes."

    def run(self, **options: Any) -> tuple[Any, str]:
        files = self.files(options)
        made = policy.plan(self.organization(options), files, values=self.values(files), prune=options["prune"])
        data = {
            "digest": made.digest,
            "summary": made.summary,
            "text": made.words,
            "changes": [as_change(each) for each in made.changes],
            "unmanaged": made.unmanaged,
        }
        left = [f"Not in the files: {', '.join(made.unmanaged)}."] if made.unmanaged else []
        return data, "\n".join([made.words, "", *left, f"{made.summary}. Plan {made.digest}"])
