"""What is told of proposed changes of the policy: to those who can decide them, then to who proposed them."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import User
from agents.models import PolicyProposal
from agents.signals import proposal_moved
from audit.ids import read_id
from audit.leaf import timestamp
from notifications import hints, registry
from notifications.letters import letter, plain
from notifications.models import Announcement
from notifications.outbox import announce
from notifications.registry import Facts, Mail, Topic, members_who

WAITING, DECIDED = "proposal.waiting", "proposal.decided"
EVENTS = {
    WAITING: "A change of the policy was proposed, and waits for somebody else",
    DECIDED: "A proposed change of the policy was applied or rejected",
}


def moved(*, proposal: PolicyProposal, **_: Any) -> None:
    """Owes people the news, in the transaction of what it tells."""
    event = WAITING if proposal.state == PolicyProposal.State.WAITING else DECIDED
    announce([(proposal.organization_id, "live", event, proposal.proposal_id)])
    hints.poke()


class ProposalTopic(Topic):
    def facts(self, announcement: Announcement) -> Facts | None:
        row = _proposal(announcement)
        if row is None:
            return None
        people = members_who(row.organization, "agents:write")
        if announcement.event == DECIDED:
            mine = row.decided_by_id != row.proposed_by_id  # who withdrew it knows
            return Facts(people=tuple(each for each in people if mine and each.user_id == row.proposed_by_id))
        others = tuple(each for each in people if each.user_id != row.proposed_by_id)
        return Facts(people=others, is_past=row.state != PolicyProposal.State.WAITING)

    def mail(self, announcement: Announcement, person: User | None) -> Mail:
        row = _proposal(announcement)
        if row is None:
            raise LookupError(f"{announcement.target} is gone")
        waits = announcement.event == WAITING
        state = row.get_state_display().lower()
        who = plain(row.proposed_by.email) if row.proposed_by else "somebody"
        link = settings.SITE_URL + reverse("agents:proposal", args=[row.proposal_id])
        return letter(
            subject=f"{'' if waits else 'Re: '}Change of the policy: {row.summary}",
            opening=f"{who} proposes a change of the policy, and it takes somebody else to accept it."
            if waits
            else f"The change of the policy that {who} proposed is {state}.",
            facts={
                "Changes": row.summary,
                "From": plain(row.source),
                "Decided by": plain(row.decided_by.email) if row.decided_by and not waits else "",
                "Reason": "" if waits else plain(row.reason),
            },
            links=[("Open the proposal", link)],
            notes=_notes(waits=waits) if person else [],
        )

    def webhook(self, announcement: Announcement) -> dict[str, Any]:
        row = _proposal(announcement)
        if row is None:
            raise LookupError(f"{announcement.target} is gone")
        return {
            "id": row.proposal_id,
            "state": row.state if announcement.event == DECIDED else PolicyProposal.State.WAITING.value,
            "digest": row.digest,
            "summary": row.summary,
            "source": row.source,
            "proposed_at": timestamp(row.proposed_at),
            "proposed_by": row.proposed_by.email if row.proposed_by else None,
            "url": settings.SITE_URL + reverse("agents:proposal", args=[row.proposal_id]),
        }


def _notes(*, waits: bool) -> list[str]:
    if not waits:
        return ["You get this because you proposed it."]
    return ["You get this because you may change the policy. Nothing is decided by opening it."]


def _proposal(announcement: Announcement) -> PolicyProposal | None:
    rows = PolicyProposal.objects.select_related("organization", "proposed_by", "decided_by")
    mine = rows.filter(organization_id=announcement.organization_id)
    return mine.filter(pk__in=[read_id("ppr", announcement.target)]).first()


def connect() -> None:
    registry.register("proposal.", ProposalTopic(), EVENTS)
    proposal_moved.connect(moved, dispatch_uid="notifications.proposals")
