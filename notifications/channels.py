"""Which channels hear of something: a filter, readable as a sentence. Pure rules over plain rows."""

from notifications.models import Announcement, Channel
from notifications.registry import Facts


def lets_through(channel: Channel, event: str, facts: Facts) -> bool:
    """Whether the channel's filter lets an event with these facts through. What a filter names, the facts must have."""
    return (
        (not channel.events or event in channel.events)
        and (not channel.agents or facts.agent_id in channel.agents)
        and (not channel.teams or not facts.teams.isdisjoint(channel.teams))
        and (not channel.risks or facts.risk in channel.risks)
        and (not channel.environments or facts.environment in channel.environments)
    )


def channels_for(announcement: Announcement, facts: Facts) -> list[Channel]:
    """The active channels of the organization and mode that hear of it."""
    active = Channel.objects.filter(
        organization_id=announcement.organization_id, mode=announcement.mode, is_active=True
    ).order_by("id")
    if facts.channels is not None:
        return list(active.filter(id__in=facts.channels))
    return [channel for channel in active if lets_through(channel, announcement.event, facts)]
