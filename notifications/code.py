"""Channels in `warden.yaml`: by name, their agents and teams by slug."""

from typing import Any

from django.core.exceptions import ValidationError

from accounts.by import By
from accounts.models import Organization
from accounts.rules import Refused
from agents.code import state
from agents.code.state import Fields
from agents.models import Agent
from audit.ids import show_id
from notifications.models import Channel
from notifications.services import channels

FIXED = ("transport", "mode")


class ChannelSection:
    def rows(self, organization: Organization) -> dict[str, Fields]:
        return {key: self.fields(row) for key, row in self.keyed(organization).items()}

    @staticmethod
    def keyed(organization: Organization) -> dict[str, Channel]:
        """By name; where one of each mode has it, the test one says so."""
        found: dict[str, Channel] = {}
        for row in Channel.objects.filter(organization=organization).order_by("mode", "name"):
            found[row.name if row.name not in found else f"{row.name} ({row.mode})"] = row
        return dict(sorted(found.items()))

    @staticmethod
    def fields(row: Channel) -> Fields:
        agents = Agent.objects.filter(organization=row.organization_id, id__in=row.agents, deleted_at=None)
        slugs = dict(agents.values_list("id", "slug"))
        teams = dict(row.organization.teams.filter(id__in=row.teams).values_list("id", "slug"))
        return {
            "transport": row.transport,
            "name": row.name,
            "mode": row.mode,
            "address": row.address,
            "events": sorted(row.events),
            # What is gone is named by its identifier: without it, nothing left would mean everything.
            "agents": sorted(slugs.get(pk) or show_id("agt", pk) for pk in row.agents),
            "teams": sorted(teams.get(pk) or show_id("team", pk) for pk in row.teams),
            "risks": sorted(row.risks),
            "environments": sorted(row.environments),
        }

    def create(self, organization: Organization, by: By, key: str, fields: Fields) -> str:
        """Returns the signing secret of a webhook, which nobody can read again; else nothing."""
        _, secret = channels.create(organization=organization, by=by, **self.named(organization, fields))
        return secret

    def change(self, organization: Organization, by: By, key: str, fields: Fields) -> None:
        row = self.keyed(organization)[key]
        if any(getattr(row, name) != fields[name] for name in FIXED):
            raise Refused("Its transport and mode stay as they are: give the new channel another name.")
        given = {name: value for name, value in self.named(organization, fields).items() if name not in FIXED}
        channels.change(channel=row, by=by, **given)

    def delete(self, organization: Organization, by: By, key: str) -> None:
        channels.delete(channel=self.keyed(organization)[key], by=by)

    @staticmethod
    def named(organization: Organization, fields: Fields) -> dict[str, Any]:
        """As the services take them: agents and teams by id. Raises ValidationError for who is not there."""
        agents = Agent.objects.filter(organization=organization, slug__in=fields["agents"], deleted_at=None)
        teams = organization.teams.filter(slug__in=fields["teams"])
        ids = {"agents": dict(agents.values_list("slug", "id")), "teams": dict(teams.values_list("slug", "id"))}
        for name, known in ids.items():
            missing = [slug for slug in fields[name] if slug not in known]
            if missing:
                raise ValidationError({name: f"There is no {missing[0]}."})
        return fields | {name: [known[slug] for slug in fields[name]] for name, known in ids.items()}


def connect() -> None:
    state.register_channels(ChannelSection())
