"""What a channel hears of, as a sentence."""

from collections.abc import Iterable

from accounts.models import Team
from agents.models import Agent
from notifications import registry
from notifications.models import Channel


def sentences(channels: Iterable[Channel]) -> dict[Channel, str]:
    """For each channel, what its filter lets through, in two queries whatever their number."""
    channels = list(channels)
    agents = dict(
        Agent.objects.filter(pk__in={pk for channel in channels for pk in channel.agents}).values_list("pk", "slug")
    )
    teams = dict(
        Team.objects.filter(pk__in={pk for channel in channels for pk in channel.teams}).values_list("pk", "name")
    )
    known = registry.events()
    found = {}
    for channel in channels:
        events = [known.get(event, event).lower() for event in channel.events]
        what = f"When {_either(events)}" if events else "Everything"
        if channel.agents:
            what += f", by {_either(agents.get(pk, 'a deleted agent') for pk in channel.agents)}"
        if channel.teams:
            what += f", of agents owned by {_either(teams.get(pk, 'a deleted team') for pk in channel.teams)}"
        if channel.risks:
            what += f", at {_either(channel.risks)} risk"
        if channel.environments:
            what += f", in {_either(channel.environments)}"
        found[channel] = f"{what}."
    return found


def _either(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
