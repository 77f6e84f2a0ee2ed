"""create_channel TRANSPORT NAME ADDRESS [--event EVENT]… [--agent SLUG]… [--risk RISK]… [--json]"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Model, QuerySet

from accounts.by import COMMAND_LINE
from accounts.management.base import PeopleCommand, find_organization
from accounts.models import Team
from agents.models import Agent
from notifications import registry
from notifications.management.base import channel_data
from notifications.models import TRANSPORTS
from notifications.services import channels


class Command(PeopleCommand):
    help = "Make a channel. A webhook's signing secret is printed, this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_organization(parser)
        parser.add_argument("transport", choices=list(dict(TRANSPORTS)))
        parser.add_argument("name")
        parser.add_argument("address", help="e-mail address, Slack channel, or URL")
        parser.add_argument("--mode", choices=["live", "test"], default="live")
        parser.add_argument("--event", action="append", default=[], choices=sorted(registry.events()), metavar="EVENT")
        parser.add_argument("--agent", action="append", default=[], metavar="SLUG")
        parser.add_argument("--team", action="append", default=[], metavar="SLUG", help="that owns the agent")
        parser.add_argument("--risk", action="append", default=[], choices=channels.RISKS)
        parser.add_argument("--environment", action="append", default=[])

    def answer(self, **options: Any) -> tuple[Any, str]:
        organization = find_organization(options["organization"])
        channel, secret = channels.create(
            organization=organization,
            mode=options["mode"],
            transport=options["transport"],
            name=options["name"],
            address=options["address"],
            events=options["event"],
            agents=_by_slug(Agent.objects.filter(organization=organization, deleted_at=None), options["agent"]),
            teams=_by_slug(Team.objects.filter(organization=organization), options["team"]),
            risks=options["risk"],
            environments=options["environment"],
            by=COMMAND_LINE,
        )
        data = channel_data(channel) | {"secret": secret or None}
        words = f"{data['id']}  {channel.name}: {data['hears_of']}"
        return data, f"{words}\nIts signing secret, shown this once: {secret}" if secret else words


def _by_slug(rows: QuerySet[Any], slugs: list[str]) -> list[Any]:
    found: dict[str, Model] = {row.slug: row for row in rows.filter(slug__in=slugs)}
    if missing := [slug for slug in slugs if slug not in found]:
        raise CommandError(f"There is no {', '.join(missing)}.")
    return [found[slug].pk for slug in slugs]
