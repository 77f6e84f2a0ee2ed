from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from agents.management.commands._base import AgentsCommand, add_limits, as_json, given, limits
from agents.services import agents


def add_fields(parser: ArgumentParser) -> None:
    parser.add_argument("--purpose")
    parser.add_argument("--owner", metavar="EMAIL", help="the member it belongs to")
    parser.add_argument("--team", metavar="SLUG", help="the team it belongs to")
    parser.add_argument("--notes")
    parser.add_argument("--documentation", type=Path, metavar="FILE", help="Markdown")
    parser.add_argument("--spiffe-id")
    parser.add_argument("--limit-currency", help="of its totals: a code of ISO 4217")
    parser.add_argument("--max-pending", type=int, help="so many of its requests may wait for people at once")
    add_limits(parser)


def fields(options: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
    found = given(options, "purpose", "notes", "spiffe_id", "limit_currency", "max_pending")
    if options["limit"]:
        found["limits"] = limits(options, before or {})
    if options["documentation"]:
        found["documentation"] = options["documentation"].read_text()
    return found


class Command(AgentsCommand):
    help = "Create an agent. It may do nothing until it is given permissions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name")
        parser.add_argument("--slug", default="", help="made of the name unless given")
        add_fields(parser)

    def run(self, **options: Any) -> tuple[Any, str]:
        organization = self.organization(options)
        agent = agents.create_agent(
            organization=organization,
            by=self.by(organization, options),
            name=options["name"],
            slug=options["slug"],
            **fields(options),
            **self.owner(organization, options),
        )
        return as_json(agent), f"Created {agent.slug}."
