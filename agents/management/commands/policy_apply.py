from argparse import ArgumentParser
from typing import Any

from agents.management.commands._policy import PolicyCommand, as_change
from agents.services import policy


class Command(PolicyCommand):
    help = "Apply policy files: everything, or nothing. Without --plan, whatever they change now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--plan", metavar="DIGEST", help="the plan that was looked at; refused if it is another now"
        )
        parser.add_argument("--source", default="", help="where the files come from, such as a commit")

    def run(self, **options: Any) -> tuple[Any, str]:
        files, organization = self.files(options), self.organization(options)
        values = self.values(files)
        digest = options["plan"] or policy.plan(organization, files, values=values, prune=options["prune"]).digest
        done = policy.apply(
            organization=organization,
            by=self.by(organization, options),
            files=files,
            expected=digest,
            values=values,
            prune=options["prune"],
            source=options["source"],
        )
        data = {
            "digest": done.plan.digest,
            "summary": done.plan.summary,
            "changed": bool(done.plan.changes),
            "changes": [as_change(each) for each in done.plan.changes],
            "secrets": dict(done.secrets),
        }
        secrets = [f"The secret of {name}, shown this once: {secret}" for name, secret in done.secrets.items()]
        return data, "\n".join([done.plan.words, "", *secrets, f"Applied: {done.plan.summary}."])
