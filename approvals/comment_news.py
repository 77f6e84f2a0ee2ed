"""Who hears of what was said about an approval: whom it mentions, and who asked what an agent answered."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import Membership, User
from approvals.models import Comment
from approvals.news import what_of
from audit.ids import read_id
from audit.leaf import timestamp
from notifications.letters import letter, plain
from notifications.models import Announcement
from notifications.registry import Facts, Mail, Topic

READ = "approvals:read"
SHOWN = 1_000  # characters of a comment in a mail
MENTIONED = "comment.mentioned"
_WORDS = {
    MENTIONED: "{author} mentioned you.",
    "comment.answered": "{author} answered what you asked. Unverified: written by the agent.",
}


class CommentTopic(Topic):
    """To the people it concerns, by mail; channels hear of requests, not of every word about them."""

    def facts(self, announcement: Announcement) -> Facts:
        comment = _comment(announcement)
        approval = comment.approval
        if announcement.event == MENTIONED:
            wanted = set(comment.mentions)
        else:
            wanted = {asked.user_id for asked in approval.comments.filter(kind="question") if asked.user_id}
        members = Membership.objects.filter(
            organization_id=announcement.organization_id, user__is_active=True, user__in=wanted
        )
        people = tuple(member for member in members.select_related("user").order_by("user__email") if member.may(READ))
        return Facts(agent_id=approval.agent_id, risk=approval.risk, people=people, channels=frozenset())

    def mail(self, announcement: Announcement, person: User | None) -> Mail:
        comment = _comment(announcement)
        approval = comment.approval
        text = comment.text if len(comment.text) <= SHOWN else f"{comment.text[:SHOWN]}…"
        return letter(
            subject=f"Re: {approval.agent_slug} wants to {what_of(approval)}",
            opening=_WORDS[announcement.event].format(author=plain(comment.author)),
            facts={
                "Said": plain(text.replace("\r", "").replace("\n", " / ")),
                "Attached": plain(comment.evidence_name),
                "Request": approval.approval_id,
            },
            links=[("Open the request", settings.SITE_URL + reverse("approvals:detail", args=[approval.approval_id]))],
            test=approval.mode == "test",
        )

    def webhook(self, announcement: Announcement) -> dict[str, Any]:
        comment = _comment(announcement)
        return {
            "id": comment.comment_id,
            "approval_id": comment.approval.approval_id,
            "by": comment.author,
            "kind": comment.kind,
            "text": comment.text,
            "created_at": timestamp(comment.created_at),
        }


def _comment(announcement: Announcement) -> Comment:
    """The comment it is about. Raises ValueError, Comment.DoesNotExist."""
    comment_id = read_id("cmt", announcement.target)
    if comment_id is None:
        raise ValueError(f"{announcement.target!r} names no comment")
    return Comment.objects.select_related("approval").get(
        id=comment_id, approval__organization_id=announcement.organization_id, approval__mode=announcement.mode
    )
