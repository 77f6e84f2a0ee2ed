"""How somebody wants to hear: pure rules over one preference and a moment. No ORM queries, no clock."""

from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from notifications.models import Preference

MORNING = time(8)
When = datetime | Literal["digest", "never"]


def zone(name: str) -> ZoneInfo:
    """The time zone of that name; UTC where this machine knows none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def when(preference: Preference, *, mode: str, urgent: bool, in_digest: bool, now: datetime) -> When:
    """When to mail this person of something: a moment, with the `digest` (where one says it too), or `never`."""
    if preference.mail == Preference.Mail.NONE or (mode == "test" and not preference.test_mode):
        return "never"
    if urgent and preference.critical_always:
        return now
    if preference.mail != Preference.Mail.NOW and in_digest:
        return "digest"
    return quiet_until(preference, now) or now


def quiet_until(preference: Preference, now: datetime) -> datetime | None:
    """When the quiet hours that hold now are over; None outside of them.

    They are hours on the wall: on the night the clocks change they are an hour shorter or longer. An end that the
    clocks skip is the moment they skip to.
    """
    start, end = preference.quiet_from, preference.quiet_until
    if start is None or end is None or start == end:
        return None
    here = now.astimezone(zone(preference.timezone))
    wall = here.time().replace(tzinfo=None)
    if start < end:
        if not start <= wall < end:
            return None
        day = here.date()
    elif wall >= start:
        day = here.date() + timedelta(days=1)
    elif wall < end:
        day = here.date()
    else:
        return None
    return _moment(datetime.combine(day, end), here.tzinfo)  # type: ignore[arg-type]


def next_digest(preference: Preference, now: datetime) -> datetime | None:
    """When the next digest is due after `now`: at the full hour, or at eight in the morning where they are."""
    if preference.mail == Preference.Mail.HOURLY:
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return quiet_until(preference, hour) or hour
    if preference.mail == Preference.Mail.DAILY:
        tz = zone(preference.timezone)
        day = now.astimezone(tz).date()
        morning = _moment(datetime.combine(day, MORNING), tz)
        if morning <= now:
            morning = _moment(datetime.combine(day + timedelta(days=1), MORNING), tz)
        return quiet_until(preference, morning) or morning
    return None


def _moment(wall: datetime, tz: ZoneInfo) -> datetime:
    """That time on the wall as a moment in UTC; one that the clocks skip is read with the offset before the change."""
    return wall.replace(tzinfo=tz).astimezone(UTC)
