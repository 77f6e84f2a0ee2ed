"""Who hears of an approval by mail, and in what words. notifications carries it and knows nothing of approvals."""

import unicodedata
from collections.abc import Iterator

from django.conf import settings
from django.urls import reverse

from accounts.models import Membership
from agents.policy.money import show
from approvals import rules, states
from approvals.case import case_of
from approvals.models import Approval
from approvals.sentence import sentence
from audit.ids import read_id
from notifications.models import Announcement
from notifications.registry import Message


def messages(announcement: Announcement) -> Iterator[Message]:
    """A request goes to everybody who may decide it, once. How it ended is news to agents, who are told otherwise."""
    if announcement.event != "approval.requested":
        return
    approval_id = read_id("apr", announcement.target)
    if approval_id is None:
        raise ValueError(f"{announcement.target!r} names no approval")
    approval = Approval.objects.select_related("organization").get(id=approval_id)
    if approval.state != states.PENDING:
        return
    case = case_of(approval, approval.organization)
    subject, text = letter(approval)
    members = Membership.objects.filter(organization=approval.organization, user__is_active=True)
    for member in members.select_related("user").order_by("user__email"):
        if rules.can_person(case, rules.Person(member.user_id, member.role)):
            yield Message("email", member.user.email, subject, text)


def letter(approval: Approval) -> tuple[str, str]:
    """Subject and text. What the agent wrote is drawn visible and kept to one line, so that it cannot pose as ours."""
    amount = show(approval.amount, approval.currency or None) if approval.amount is not None else ""
    what = plain(sentence(approval.action, approval.amount, approval.context_data).plain(amount))
    test = "[Test] " if approval.mode == "test" else ""
    link = settings.SITE_URL + reverse("approvals:detail", args=[approval.approval_id])
    subject = f"{test}{approval.agent_slug} wants to {what}"
    facts = {
        "Agent": approval.agent_slug,
        "Action": approval.action,
        "Amount": plain(amount),
        "Environment": plain(approval.environment),
        "Risk": approval.risk,
        "Decide by": f"{approval.expires_at:%Y-%m-%d %H:%M} UTC",
        "Request": approval.approval_id,
    }
    lines = [f"{name + ':':<13}{value}" for name, value in facts.items() if value]
    opening = f"{approval.agent_slug} wants to {what}, and waits for a person to decide."
    notes = [
        *(["This is a test: nothing live depends on it."] if test else []),
        "The link opens the request with everything the agent sent. Nothing is decided by opening it.",
        f"You get this because you may decide requests at {plain(approval.organization.name)}.",
    ]
    text = "\n".join([opening, "", *lines, "", link, "", *notes, ""])
    return subject if len(subject) <= 200 else f"{subject[:199]}…", text


def plain(text: str) -> str:
    """One line of plain text in which nothing is invisible: control and format characters are spelled out."""
    return "".join(_draw(character) for character in text)


def _draw(character: str) -> str:
    hidden = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return f"⟨U+{ord(character):04X}⟩" if hidden else character
