"""Filters of the insights page."""

from datetime import timedelta

from django import template

register = template.Library()


@register.filter
def duration(delta: timedelta) -> str:
    """``42 s``, ``3 min 5 s``, ``2 h 12 min``, ``3 d 4 h``: how long something took."""
    seconds = round(delta.total_seconds())
    for size, unit, below, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // below
            return f"{seconds // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds} s"


@register.filter
def seconds(value: float) -> str:
    """A number of seconds, in the words of ``duration``."""
    return duration(timedelta(seconds=value))
