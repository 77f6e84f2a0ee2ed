"""What is told of the kill switch: to owners and admins at once, quiet hours or not, and to channels."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import User
from agents.models import Stop
from approvals.stops.services import ABILITY
from audit.ids import read_id
from audit.leaf import timestamp
from notifications.letters import letter, plain
from notifications.models import Announcement
from notifications.registry import Facts, Mail, Topic, members_who

EVENTS = {
    "stop.started": "The kill switch was pulled",
    "stop.release_asked": "Somebody asked to release a stop",
    "stop.released": "A stop was released",
}
_OPENINGS = {
    "stop.started": "{by} stopped {what} at {organization}. Checks are denied, and what waits stands still.",
    "stop.release_asked": "{by} asks to release the stop of {what} at {organization}. Another owner or admin confirms.",
    "stop.released": "{by} released the stop of {what} at {organization}. Permissions decide again.",
}


class StopTopic(Topic):
    def facts(self, announcement: Announcement) -> Facts:
        stop = _stop(announcement)
        return Facts(agent_id=stop.agent_id, risk="critical", people=members_who(stop.organization, ABILITY))

    def mail(self, announcement: Announcement, person: User | None) -> Mail:
        stop = _stop(announcement)
        what = plain(stop.words)
        asked = f"{stop.asked_by_label}: {stop.release_reason}" if stop.asked_at else ""
        subject = f"Stopped: {what}"
        return letter(
            subject=subject if announcement.event == "stop.started" else f"Re: {subject}",
            opening=_OPENINGS[announcement.event].format(
                by=plain(_who(stop, announcement.event)), what=what, organization=plain(stop.organization.name)
            ),
            facts={
                "Stopped": f"{stop.stopped_at:%Y-%m-%d %H:%M:%S} UTC by {plain(stop.stopped_by_label)}",
                "Reason": plain(stop.reason),
                "Release asked": plain(asked),
                "Released": f"{stop.released_at:%Y-%m-%d %H:%M:%S} UTC" if stop.released_at else "",
            },
            links=[("Open the kill switch", settings.SITE_URL + reverse("stops:list"))],
            notes=["You get this because you configure this organization."] if person else [],
        )

    def webhook(self, announcement: Announcement) -> dict[str, Any]:
        stop = _stop(announcement)
        return {
            "id": stop.stop_id,
            "agent_id": stop.agent.slug if stop.agent else None,
            "pattern": stop.pattern or None,
            "reason": stop.reason,
            "stopped_at": timestamp(stop.stopped_at),
            "stopped_by": stop.stopped_by_label,
            "release_asked_by": stop.asked_by_label or None,
            "released_at": timestamp(stop.released_at) if stop.released_at else None,
            "released_by": stop.released_by_label or None,
            "url": settings.SITE_URL + reverse("stops:list"),
        }


def _who(stop: Stop, event: str) -> str:
    return {
        "stop.started": stop.stopped_by_label,
        "stop.release_asked": stop.asked_by_label or "Somebody",
        "stop.released": stop.released_by_label or "Somebody",
    }[event]


def _stop(announcement: Announcement) -> Stop:
    """The stop it is about. Raises Stop.DoesNotExist."""
    rows = Stop.objects.select_related("organization", "agent")
    return rows.get(pk__in=[read_id("stp", announcement.target)], organization_id=announcement.organization_id)
