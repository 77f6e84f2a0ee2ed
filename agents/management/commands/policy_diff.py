from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from agents.management.commands._base import AgentsCommand
from agents.management.commands._policy import as_change
from agents.services.drift import drift


class Command(AgentsCommand):
    help = "Say how what there is differs from the policy files that were applied last."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--check", action="store_true", help="fail where it differs")

    def run(self, **options: Any) -> tuple[Any, str]:
        found = drift(self.organization(options))
        words = "\n".join(part for part in (found.summary, found.words) if part)
        if options["check"] and (found.changes or found.broken):
            raise CommandError(words)
        last = found.last
        return {
            "applied_at": last.applied_at.isoformat() if last else None,
            "applied_by": last.applied_by.email if last and last.applied_by else None,
            "source": last.source if last else "",
            "summary": found.summary,
            "text": found.words,
            "changes": [as_change(each) for each in found.changes],
        }, words
