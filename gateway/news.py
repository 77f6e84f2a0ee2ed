"""What agents logged that did not go well, told to channels."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import User
from agents.models import Agent
from audit.ids import read_id, show_id
from audit.leaf import timestamp
from audit.models import Event
from notifications.letters import letter, plain
from notifications.models import Announcement
from notifications.registry import Facts, Mail, Topic

EVENTS = {
    "log.blocked": "An agent logged that it was blocked",
    "log.failed": "An agent logged that an action failed",
    "log.pending_approval": "An agent logged that it waits for approval",
}
_WORDS = {"blocked": "was blocked", "failed": "failed", "pending_approval": "waits for approval"}


class LogTopic(Topic):
    """Channels hear of it; nobody is asked for anything."""

    def facts(self, announcement: Announcement) -> Facts:
        event = _event(announcement)
        agents = Agent.objects.filter(organization_id=announcement.organization_id, slug=event.agent)
        agent = agents.order_by("deleted_at").last()
        team = agent.owner_team_id if agent else None
        return Facts(agent_id=agent.id if agent else None, teams=frozenset({team} if team else ()))

    def mail(self, announcement: Announcement, person: User | None) -> Mail:
        event = _event(announcement)
        what = plain(event.action)
        return letter(
            subject=f"{event.agent}: {what} {_WORDS[event.result]}",
            opening=f"{event.agent} logged that {what} {_WORDS[event.result]}.",
            facts={"Agent": event.agent, "Action": what, "When": f"{event.at:%Y-%m-%d %H:%M:%S} UTC"},
            links=[("Open the log", settings.SITE_URL + reverse("audit:detail", args=[show_id("evt", event.id)]))],
            notes=["The agent's own words: unverified."],
            test=event.mode == "test",
        )

    def webhook(self, announcement: Announcement) -> dict[str, Any]:
        event = _event(announcement)
        return {
            "id": announcement.target,
            "mode": event.mode,
            "agent_id": event.agent,
            "action": event.action,
            "status": event.result,
            "context": event.data.get("context"),
            "created_at": timestamp(event.at),
        }


def _event(announcement: Announcement) -> Event:
    """The log in the record. Raises Event.DoesNotExist."""
    return Event.objects.get(
        id__in=[read_id("log", announcement.target)],
        organization_id=announcement.organization_id,
        mode=announcement.mode,
        kind="agent:action:log",
    )
