"""What owners are told of a broken glass: at once, and when nobody has signed it off in time."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import User
from approvals.models import BreakGlass
from approvals.news import what_of
from audit.ids import read_id
from audit.leaf import timestamp
from notifications.letters import letter, plain
from notifications.models import Announcement
from notifications.registry import Facts, Mail, Topic, members_who

EVENTS = {
    "glass.broken": "A request was allowed outside its rule (break-glass)",
    "glass.overdue": "A break-glass is not signed off in time",
}
_OPENINGS = {
    "glass.broken": "{by} allowed outside its approval rule: {agent} may {what}.",
    "glass.overdue": "Nobody has signed off that {by} allowed {agent} to {what}, outside its approval rule.",
}


class GlassTopic(Topic):
    """To every owner, quiet hours or not, and to channels."""

    def facts(self, announcement: Announcement) -> Facts | None:
        broken = _broken(announcement)
        return Facts(
            agent_id=broken.approval.agent_id,
            risk="critical",
            environment=broken.approval.environment,
            people=members_who(broken.organization, "owners:write"),
            is_past=announcement.event == "glass.overdue" and broken.signed_at is not None,
        )

    def mail(self, announcement: Announcement, person: User | None) -> Mail:
        broken = _broken(announcement)
        approval, by = broken.approval, plain(broken.user_label)
        subject = f"Break-glass: {by} allowed {approval.agent_slug} to {what_of(approval)}"
        return letter(
            subject=subject if announcement.event == "glass.broken" else f"Re: {subject}",
            opening=_OPENINGS[announcement.event].format(by=by, agent=approval.agent_slug, what=what_of(approval)),
            facts={
                "By": by,
                "Reason": plain(broken.reason),
                "Action": plain(approval.action),
                "Risk": approval.risk,
                "Request": approval.approval_id,
                "Sign off by": f"{broken.due_at:%Y-%m-%d %H:%M} UTC",
            },
            links=[("Look at it and sign it off", _link(broken))],
            notes=["You get this because you own this organization."] if person else [],
            test=broken.mode == "test",
        )

    def webhook(self, announcement: Announcement) -> dict[str, Any]:
        broken = _broken(announcement)
        return {
            "id": broken.glass_id,
            "mode": broken.mode,
            "approval_id": broken.approval.approval_id,
            "agent_id": broken.approval.agent_slug,
            "action": broken.approval.action,
            "by": broken.user_label,
            "reason": broken.reason,
            "created_at": timestamp(broken.created_at),
            "due_at": timestamp(broken.due_at),
            "url": _link(broken),
        }


def _link(broken: BreakGlass) -> str:
    return settings.SITE_URL + reverse("glass:sign", args=[broken.glass_id])


def _broken(announcement: Announcement) -> BreakGlass:
    """What it is about. Raises BreakGlass.DoesNotExist."""
    rows = BreakGlass.objects.select_related("organization", "approval")
    return rows.get(pk__in=[read_id("brk", announcement.target)], organization_id=announcement.organization_id)
