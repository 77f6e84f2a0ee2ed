"""What is told of a review that is due: to those who can do it, and to channels that want to hear of it."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import User
from agents.models import Agent
from agents.review import due, review
from audit.clock import database_now
from audit.ids import read_id
from audit.leaf import timestamp
from notifications import registry
from notifications.letters import letter, plain
from notifications.models import Announcement
from notifications.registry import Facts, Mail, Topic, members_who
from notifications.reviews.clock import EVENT

EVENTS = {EVENT: "An agent's permissions are due for review"}


class ReviewTopic(Topic):
    def facts(self, announcement: Announcement) -> Facts | None:
        agent = _agent(announcement)
        if agent is None:
            return None
        people = members_who(agent.organization, "agents:write")
        owner = [member for member in people if member.user_id == agent.owner_user_id]
        return Facts(
            agent_id=agent.pk,
            teams=frozenset({agent.owner_team_id} if agent.owner_team_id else ()),
            people=tuple(owner) or people,
        )

    def mail(self, announcement: Announcement, person: User | None) -> Mail:
        agent = _agent(announcement)
        assert agent is not None  # facts() found it in this transaction
        name = plain(agent.slug)
        late = due(agent) <= database_now()
        when = "should have been" if late else "is to be"
        return letter(
            subject=f"Review {'is overdue' if late else 'is due soon'}: {name}",
            opening=f"What {name} may do {when} reviewed by {due(agent):%Y-%m-%d}.",
            facts={
                "Last audited": f"{agent.last_audited_at:%Y-%m-%d}" if agent.last_audited_at else "never",
                "Findings": str(len(review(agent.organization, agent))),
            },
            links=[("Open the reviews", settings.SITE_URL + reverse("agents:reviews"))],
            notes=["You get this because you may change this agent."] if person else [],
        )

    def webhook(self, announcement: Announcement) -> dict[str, Any]:
        agent = _agent(announcement)
        assert agent is not None
        return {
            "agent": agent.slug,
            "due_at": timestamp(due(agent)),
            "last_audited_at": timestamp(agent.last_audited_at) if agent.last_audited_at else None,
            "findings": len(review(agent.organization, agent)),
            "url": settings.SITE_URL + reverse("agents:reviews"),
        }


def _agent(announcement: Announcement) -> Agent | None:
    rows = Agent.objects.select_related("organization")
    mine = rows.filter(organization_id=announcement.organization_id, deleted_at=None)
    return mine.filter(pk__in=[read_id("agt", announcement.target)]).first()


def connect() -> None:
    registry.register("review.", ReviewTopic(), EVENTS)
