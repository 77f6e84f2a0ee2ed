"""Who hears of an approval, and in what words. notifications carries it and knows nothing of approvals."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse

from accounts.models import Membership, User
from accounts.services.delegations import running
from agents.policy.money import show
from approvals import rules, states
from approvals.case import case_of, cases, people_of, person_of
from approvals.models import Approval, still_waits
from approvals.sentence import sentence
from audit.clock import database_now
from audit.ids import read_id
from audit.leaf import timestamp
from notifications.letters import letter, plain
from notifications.models import Announcement
from notifications.registry import Facts, Mail, Topic, Waiting

ASKING = {"approval.requested", "approval.reminder", "approval.escalated", "approval.edited"}
WAITING = ASKING | {"approval.resumed"}
EVENTS = {
    "approval.requested": "A request waits for a person",
    "approval.reminder": "A request still waits",
    "approval.escalated": "A request was escalated to further people",
    "approval.resumed": "A request goes on after a stop, by a later deadline",
    "approval.edited": "A request was changed by a person, and waits for others",
    "approval.approved": "A request was approved",
    "approval.denied": "A request was denied",
    "approval.expired": "A request expired, undecided",
    "approval.cancelled": "A request was cancelled: the agent gave it up, or was banned",
    "approval.claimed": "An agent took an approval, and acts on it",
}
_OPENINGS = {
    "approval.requested": "{agent} wants to {what}, and waits for a person to decide.",
    "approval.reminder": "{agent} still waits for a person to decide whether it may {what}.",
    "approval.escalated": "Nobody decided yet whether {agent} may {what}: you are asked now.",
    "approval.resumed": "The stop is released: {agent} waits again for a person to decide whether it may {what}.",
    "approval.edited": "Changed by a person: {agent} would {what}, and waits for others to decide.",
    "approval.approved": "Approved: {agent} may {what}.",
    "approval.denied": "Denied: {agent} may not {what}.",
    "approval.expired": "Expired, undecided: {agent} may not {what}.",
    "approval.cancelled": "Cancelled: {agent} may not {what}.",
    "approval.claimed": "{agent} took the approval, and goes on to {what}.",
}


class ApprovalTopic(Topic):
    """A request goes to everybody who may decide it, and to channels; how it ended goes to channels."""

    def facts(self, announcement: Announcement) -> Facts:
        approval = _approval(announcement)
        case = case_of(approval, approval.organization)
        is_open = rules.can_change(case, database_now())
        asks = announcement.event in ASKING
        people: tuple[Membership, ...] = ()
        if asks and is_open:
            members = list(
                Membership.objects.filter(organization=approval.organization, user__is_active=True)
                .select_related("user")
                .order_by("user__email")
            )
            known = people_of(approval.organization_id, [member.user_id for member in members])
            persons = [(member, known[member.user_id]) for member in members]
            widened = announcement.event == "approval.escalated"  # who could decide before was asked before
            people = tuple(
                member
                for member, person in persons
                if rules.can_person(case, person) and not (widened and case.rule.lets(person))
            )
            away = set(
                running(approval.organization, database_now()).values_list("delegator", flat=True) if people else ()
            )
            people = tuple(member for member in people if member.pk not in away) or people
        team = approval.agent.owner_team_id
        return Facts(
            agent_id=approval.agent_id,
            teams=frozenset({team} if team else ()),
            risk=approval.risk,
            environment=approval.environment,
            people=people,
            in_digest=True,
            is_past=asks and not is_open,
        )

    def is_past(self, announcement: Announcement) -> bool:
        if announcement.event not in ASKING:
            return False
        return not _named(announcement).filter(still_waits(database_now())).exists()

    def mail(self, announcement: Announcement, person: User | None) -> Mail:
        approval = _approval(announcement)
        agent, what = approval.agent_slug, what_of(approval)
        asks = announcement.event in ASKING
        link = settings.SITE_URL + reverse("approvals:detail", args=[approval.approval_id])
        links = [("Open the request", link)]
        if asks and person is not None:
            links += [("Sign off: approve", f"{link}/approve"), ("Sign off: deny", f"{link}/deny")]
        subject = f"{agent} wants to {what}"
        return letter(
            subject=subject if announcement.event == "approval.requested" else f"Re: {subject}",
            opening=_OPENINGS[announcement.event].format(agent=agent, what=what),
            facts=_rows(approval, announcement.event in WAITING),
            links=links,
            notes=list(_notes(approval, asks=asks, person=person)),
            test=approval.mode == "test",
        )

    def page(self, announcement: Announcement) -> str:
        return reverse("approvals:detail", args=[announcement.target])

    def webhook(self, announcement: Announcement) -> dict[str, Any]:
        approval = _approval(announcement)
        decided = {
            "reason": approval.reason,
            "decided_at": timestamp(approval.decided_at) if approval.decided_at else None,
            "decided_by": approval.decided_by_label or None,
        }
        return {
            "id": approval.approval_id,
            "mode": approval.mode,
            "status": states.PENDING if announcement.event in WAITING else announcement.event.partition(".")[2],
            "agent_id": approval.agent_slug,
            "action": approval.action,
            "sentence": f"{approval.agent_slug} wants to {what_of(approval)}",
            "amount": None if approval.amount is None else f"{approval.amount.normalize():f}",
            "currency": approval.currency or None,
            "environment": approval.environment or None,
            "risk": approval.risk,
            "context": approval.context_data,
            "created_at": timestamp(approval.created_at),
            "expires_at": timestamp(approval.expires_at),
            "decision": decided if approval.decided_at and announcement.event not in WAITING else None,
            "approval_url": settings.SITE_URL + reverse("approvals:detail", args=[approval.approval_id]),
        }


def waiting(member: Membership, mode: str) -> Iterator[Waiting]:
    """What waits for this member to decide, for a digest."""
    now = database_now()
    found = list(
        Approval.objects.filter(still_waits(now), organization_id=member.organization_id, mode=mode).order_by(
            "expires_at"
        )[:500]
    )
    known, person = cases(found, member.organization), person_of(member.organization_id, member.user_id)
    for approval in found:
        if rules.can_person(known[approval.id], person):
            yield Waiting(
                words=f"{approval.agent_slug} wants to {what_of(approval)}",
                url=settings.SITE_URL + reverse("approvals:detail", args=[approval.approval_id]),
                due_at=approval.expires_at,
                risk=approval.risk,
            )


def what_of(approval: Approval) -> str:
    """What follows `support-bot wants to`, as one harmless line."""
    amount = _amount(approval)
    return plain(sentence(approval.action, approval.amount, approval.context_data).plain(amount))


def _amount(approval: Approval) -> str:
    return show(approval.amount, approval.currency or None) if approval.amount is not None else ""


def _approval(announcement: Announcement) -> Approval:
    """The approval it is about. Raises ValueError, Approval.DoesNotExist."""
    return _named(announcement).select_related("organization", "agent").get()


def _named(announcement: Announcement) -> QuerySet[Approval]:
    approval_id = read_id("apr", announcement.target)
    if approval_id is None:
        raise ValueError(f"{announcement.target!r} names no approval")
    return Approval.objects.filter(id=approval_id, organization_id=announcement.organization_id, mode=announcement.mode)


def _rows(approval: Approval, waits: bool) -> dict[str, str]:
    """What agents wrote is drawn visible and kept to one line, so that it cannot pose as ours."""
    ended = {} if waits else {"Decided by": plain(approval.decided_by_label), "Reason": plain(approval.reason)}
    return {
        "Agent": approval.agent_slug,
        "Action": plain(approval.action),
        "Amount": plain(_amount(approval)),
        "Environment": plain(approval.environment),
        "Risk": approval.risk,
        "Decide by": f"{approval.expires_at:%Y-%m-%d %H:%M} UTC" if waits else "",
        "Request": approval.approval_id,
    } | ended


def _notes(approval: Approval, *, asks: bool, person: User | None) -> Iterator[str]:
    if asks:
        yield (
            "A link opens the request with everything the agent sent. Nothing is decided by opening it: you log in,"
            " read it, and confirm."
        )
    if person is not None:
        yield f"You get this because you may decide requests at {plain(approval.organization.name)}."
        yield f"What you are mailed, and when: {settings.SITE_URL + reverse('notifications:preferences')}"
