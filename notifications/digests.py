"""Digests: at most one a person, mode and period, of what waits for them at that moment."""

from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction
from django.urls import reverse

from accounts.models import Membership
from audit.clock import database_now
from audit.ids import show_id
from notifications import preferences, registry
from notifications.letters import letter, plain
from notifications.models import Announcement, Delivery, Preference
from notifications.transports.email import DIGEST

log = structlog.get_logger(__name__)
LONGEST = 50  # lines of a digest


def digest_due(limit: int = 100) -> int:
    """Owes the digests whose time has come, up to `limit`. Returns how many people were looked at."""
    now = database_now()
    due = Preference.objects.filter(digest_due_at__lte=now).order_by("digest_due_at").values_list("pk", flat=True)
    return sum(_digest(pk) for pk in list(due[:limit]))


def _digest(pk: int) -> bool:
    """The mail and the next due time commit together: one a period, however many workers look."""
    try:
        with transaction.atomic():
            now = database_now()
            due = Preference.objects.select_for_update(skip_locked=True, of=("self",)).filter(digest_due_at__lte=now)
            preference = due.select_related("membership__user", "membership__organization").filter(pk=pk).first()
            if preference is None:
                return False
            later = preferences.next_digest(preference, now)
            Preference.objects.filter(pk=pk).update(digest_due_at=later)
            member = preference.membership
            if member.user.is_active:
                for mode in ("live", "test") if preference.test_mode else ("live",):
                    _owe(member, mode, preference, now)
    except Exception:  # one that fails waits for the next sweep, and keeps nobody else from theirs
        log.exception("a digest could not be written", preference=pk)
        return False
    return True


def _owe(member: Membership, mode: str, preference: Preference, now: datetime) -> None:
    lines = registry.waiting_for(member, mode)
    if not lines:
        return
    count = len(lines)
    things = "1 request waits" if count == 1 else f"{count:,} requests wait"
    organization = plain(member.organization.name)
    tz = preferences.zone(preference.timezone)
    links = [
        (f"{line.words} ({line.risk} risk, by {line.due_at.astimezone(tz):%a %H:%M %Z})", line.url)
        for line in lines[:LONGEST]
    ]
    if count > LONGEST:
        links.append((f"and {count - LONGEST:,} more", settings.SITE_URL + reverse("inbox")))
    target = show_id("mem", member.pk)
    stop = settings.SITE_URL + reverse("notifications:unsubscribe", args=[target])
    mail = letter(
        subject=f"{things} for you at {organization}",
        opening=f"{things} for you to decide at {organization}.",
        facts={},
        links=links,
        notes=[f"You chose {preference.get_mail_display().lower()}. To get none: {stop}"],
        test=mode == "test",
    )
    announcement = Announcement.objects.create(
        organization=member.organization, mode=mode, event=DIGEST, target=target, fanned_out_at=now
    )
    Delivery.objects.create(
        organization=member.organization,
        mode=mode,
        transport="email",
        address=member.user.email,
        event=DIGEST,
        announcement=announcement,
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
    )
