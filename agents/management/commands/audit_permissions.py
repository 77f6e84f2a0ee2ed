from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from agents.management.commands._base import AgentsCommand
from agents.review import review
from agents.services.writing import public_id


class Command(AgentsCommand):
    help = (
        "List what a review of permissions has to look at: tiers that are too broad, unused, overlapping or expired, "
        "actions refused again and again, old and unused keys, agents nobody audited, owns or explained."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--agent", metavar="SLUG", help="of one agent only")
        parser.add_argument("--check", action="store_true", help="fail where there is anything")

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options) if options["agent"] else None
        organization = agent.organization if agent else self.organization(options)
        rows = [
            {
                "code": finding.code,
                "text": finding.text,
                "agent": finding.agent.slug if finding.agent else None,
                "permission": public_id(finding.permission) if finding.permission else None,
                "action": finding.permission.action if finding.permission else None,
                "key": public_id(finding.key) if finding.key else None,
                "suggestion": finding.suggestion,
            }
            for finding in review(organization, agent)
        ]
        lines = [f"{row['agent'] or 'all agents'}  {row['action'] or ''}  {row['text']}" for row in rows]
        words = "\n".join(lines) or "Nothing needs attention."
        if rows and options["check"]:
            raise CommandError(f"{words}\nFound: {len(rows)}.")
        return rows, words
