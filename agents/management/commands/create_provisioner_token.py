from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from agents.management.commands._base import AgentsCommand, as_json
from agents.models.key import PREFIXES
from agents.services import provisioners
from audit.clock import database_now


class Command(AgentsCommand):
    help = "Create a token that makes AAP instances of an agent. It is printed once and kept nowhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--agent", metavar="SLUG", required=True)
        parser.add_argument(
            "--mode", choices=list(PREFIXES), default="live", help="of its instances; live unless given"
        )
        parser.add_argument("--environment", default="", help="the environment that its instances prove")
        parser.add_argument("--name", default="", help="what it is for")
        parser.add_argument("--expires-days", type=int, metavar="N")

    def run(self, **options: Any) -> tuple[Any, str]:
        agent, days = self.agent(options["agent"], options), options["expires_days"]
        row, token = provisioners.create_provisioner(
            agent=agent,
            by=self.by(agent.organization, options),
            mode=options["mode"],
            environment=options["environment"],
            name=options["name"],
            expires_at=None if days is None else database_now() + timedelta(days=days),
        )
        return {"provisioner_token": token, **as_json(row)}, token
