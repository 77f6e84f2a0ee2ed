"""Slack: cards where a room draws them, plain words for everything else."""

from functools import partial

from notifications import registry
from notifications.models import Delivery, SlackApp
from notifications.slack import apps, cards
from notifications.slack.client import PATIENCE, SlackError
from notifications.transports.errors import TransportError

REMINDER = "approval.reminder"  # words in the thread of the card, besides its update


def send(delivery: Delivery) -> str:
    """Posts, or updates what stands. Returns what was done. Raises TransportError."""
    app = SlackApp.objects.select_related("organization").filter(organization_id=delivery.organization_id).first()
    if app is None or not app.is_active:
        because = app.disabled_because if app else "Slack is not connected. Connect it in the settings."
        raise TransportError(because or "Slack is disabled.", permanent=True, disable=True)
    try:
        apps.identify(app, timeout=PATIENCE)
        return _send(app, delivery)
    except SlackError as error:
        if error.of_credentials:
            apps.disable(app, str(error))
        final = error.of_credentials or error.of_channel
        raise TransportError(
            str(error),
            permanent=final,
            retry_after=error.retry_after,
            disable=final,
            silent=error.code in {"unreachable", "ratelimited"},
        ) from error


def _send(app: SlackApp, delivery: Delivery) -> str:
    draw = registry.card_of(delivery.event)
    if draw is None:
        cards.say(app, delivery.address, f"{delivery.subject}\n{delivery.text}")
        return "Posted"
    done = cards.show(app, delivery, partial(draw, delivery.announcement))
    thread = cards.thread_of(delivery) if delivery.event == REMINDER else ""
    if thread and draw(delivery.announcement).is_open:
        cards.say(app, delivery.address, delivery.subject, thread=thread)
        return "Reminded"
    return done
