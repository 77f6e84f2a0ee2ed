"""A stop as scripts get it."""

from typing import Any

from agents.models import Stop
from audit.leaf import timestamp


def as_json(stop: Stop) -> dict[str, Any]:
    """JSON data; times in RFC 3339."""
    return {
        "id": stop.stop_id,
        "agent": stop.agent.slug if stop.agent else None,
        "pattern": stop.pattern or None,
        "reason": stop.reason,
        "stopped_at": timestamp(stop.stopped_at),
        "stopped_by": stop.stopped_by_label,
        "asked_at": timestamp(stop.asked_at) if stop.asked_at else None,
        "asked_by": stop.asked_by_label or None,
        "release_reason": stop.release_reason or None,
        "released_at": timestamp(stop.released_at) if stop.released_at else None,
        "released_by": stop.released_by_label or None,
    }
