"""What the commands about messages share: finding a channel or a delivery, and showing it as JSON."""

from typing import Any

from django.core.management.base import CommandError

from accounts.models import Organization
from audit.clock import database_now
from audit.ids import read_id, show_id
from notifications.models import Channel, Delivery, SlackApp
from notifications.slack.socket import is_held
from notifications.words import sentences


def find_channel(organization: Organization, text: str) -> Channel:
    """By chn_… or, where only one is called so, by name. Raises CommandError."""
    rows = Channel.objects.filter(organization=organization).select_related("organization")
    number = read_id("chn", text)
    found = list(rows.filter(pk=number) if number else rows.filter(name=text))
    if len(found) != 1:
        raise CommandError(
            f"There is no channel {text}." if not found else f"Live and test have a channel {text}: say its identifier."
        )
    return found[0]


def find_delivery(organization: Organization, text: str) -> Delivery:
    """By dlv_…. Raises CommandError."""
    rows = Delivery.objects.filter(organization=organization).select_related("organization", "announcement")
    number = read_id("dlv", text)
    found = rows.filter(pk=number).first() if number else None
    if found is None:
        raise CommandError(f"There is no delivery {text}.")
    return found


def channel_data(channel: Channel) -> dict[str, Any]:
    """A channel for a script, without its secret."""
    return {
        "id": show_id("chn", channel.pk),
        "name": channel.name,
        "transport": channel.transport,
        "address": channel.address,
        "mode": channel.mode,
        "is_active": channel.is_active,
        "disabled_because": channel.disabled_because,
        "hears_of": sentences([channel])[channel],
    }


def delivery_data(delivery: Delivery) -> dict[str, Any]:
    """A delivery for a script."""
    return {
        "id": show_id("dlv", delivery.pk),
        "event": delivery.event,
        "target": delivery.announcement.target,
        "transport": delivery.transport,
        "address": delivery.address,
        "mode": delivery.mode,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "error": delivery.error,
        "created_at": delivery.created_at.isoformat(),
        "sent_at": delivery.sent_at.isoformat() if delivery.sent_at else None,
    }


def delivery_words(delivery: Delivery) -> str:
    """A delivery in one line."""
    why = f" ({delivery.error})" if delivery.error else ""
    state = delivery.get_state_display().lower()
    return f"{show_id('dlv', delivery.pk)}  {delivery.event} to {delivery.address}: {state}{why}"


def slack_data(app: SlackApp) -> dict[str, Any]:
    """A Slack installation for scripts. Its secrets are told to nobody."""
    return {
        "team": app.team_id,
        "team_name": app.team_name,
        "enterprise": app.enterprise_id or None,
        "socket_mode": bool(app.app_token),
        "line_is_open": is_held(app, database_now()) if app.app_token else None,
        "is_active": app.is_active,
        "disabled_because": app.disabled_because or None,
    }
