from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from agents.management.commands._base import AgentsCommand, as_json
from agents.models.key import PREFIXES, SCOPES
from agents.services import keys
from audit.clock import database_now


class Command(AgentsCommand):
    help = "Create a key for an agent, or for all agents. It is printed once and kept nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--agent", metavar="SLUG")
        whose.add_argument("--all-agents", action="store_true", help="a key that may speak for every agent")
        parser.add_argument("--mode", choices=list(PREFIXES), required=True)
        parser.add_argument("--environment", default="", help="the environment this key proves")
        parser.add_argument("--name", help="what it is for")
        parser.add_argument("--scope", action="append", choices=list(SCOPES), help="sdk unless given; repeatable")
        parser.add_argument("--rate-limit", type=int, metavar="N", help="requests a minute")
        parser.add_argument("--expires-days", type=int, metavar="N")

    def run(self, **options: Any) -> tuple[Any, str]:
        agent = self.agent(options["agent"], options) if options["agent"] else None
        organization = agent.organization if agent else self.organization(options)
        days = options["expires_days"]
        key, secret = keys.create_key(
            organization=organization,
            by=self.by(organization, options),
            mode=options["mode"],
            name=options["name"] or f"{agent.slug if agent else 'all agents'} ({options['mode']})"[:80],
            agent=agent,
            environment=options["environment"],
            scopes=options["scope"],
            rate_limit=options["rate_limit"],
            expires_at=None if days is None else database_now() + timedelta(days=days),
        )
        return {"api_key": secret, **as_json(key)}, secret
