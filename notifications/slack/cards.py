"""Cards that stand in Slack: posted once, then kept as the database is. What is on a card, another room says.

The cards of one target are worked on by one worker at a time (an advisory lock), and each change is drawn from the
database under that lock: in whatever order deliveries come, the last word on a card is the latest.
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.db import connection, transaction

from audit.ids import show_id
from notifications import registry
from notifications.models import Announcement, Channel, Delivery, SlackApp, SlackPost
from notifications.slack.client import SlackError, ask, call, token_of

log = structlog.get_logger(__name__)
EVENT_TYPE = "warden_card"  # names the metadata by which a card is found again
GONE = {"message_not_found", "cant_update_message", "edit_window_closed"}
# Nothing in a message is looked at for links or names, and nothing is unfurled.
QUIET: dict[str, Any] = {
    "parse": "none",
    "link_names": False,
    "mrkdwn": False,
    "unfurl_links": False,
    "unfurl_media": False,
}


@dataclass(frozen=True, slots=True)
class Card:
    """A message: Block Kit, and the line that notifications show. `is_open`: it still asks somebody for something."""

    text: str
    blocks: list[dict[str, Any]]
    is_open: bool

    @property
    def hash(self) -> str:
        return hashlib.sha256(json.dumps([self.text, self.blocks], sort_keys=True).encode()).hexdigest()


Draw = Callable[[], Card]


def show(app: SlackApp, delivery: Delivery, draw: Draw) -> str:
    """Brings every card of the delivery's target up to date, posting one in its channel where that has none.

    Returns what was done, in a few words. Raises SlackError. May run twice, or at once.
    """
    organization_id, target = delivery.organization_id, delivery.announcement.target
    with _alone(target):
        posts = _posts(organization_id, target)
        posted = not any(post.slack_channel in _names(delivery) for post in posts)
        if posted:
            card = draw()
            if card.is_open:
                _ = (_found_again(app, delivery) if delivery.attempts > 1 else None) or _post(app, delivery, card)
            posted = card.is_open
    # In a transaction of its own: what ended before the row above was committed found no card to update.
    with _alone(target):
        updated = sum([_refresh(app, post, draw) for post in _posts(organization_id, target)])
    return "Posted" if posted else f"Updated {updated}" if updated else "Nothing to change"


def adopt(organization_id: uuid.UUID, target: str, channel: str, ts: str) -> None:
    """Remembers a card that somebody clicked, should its posting have been cut off before it was recorded."""
    SlackPost.objects.get_or_create(
        slack_channel=channel, ts=ts, defaults={"organization_id": organization_id, "target": target}
    )


def owed(announcement: Announcement, found: Iterable[Delivery]) -> list[Delivery]:
    """The update that cards in Slack are owed, should the filters of all channels keep this announcement from them."""
    if registry.card_of(announcement.event) is None or any(each.transport == "slack" for each in found):
        return []
    post = SlackPost.objects.filter(organization_id=announcement.organization_id, target=announcement.target).first()
    if post is None:
        return []
    return [
        Delivery(
            organization_id=announcement.organization_id,
            mode=announcement.mode,
            event=announcement.event,
            announcement=announcement,
            transport="slack",
            address=post.slack_channel,
        )
    ]


def say(app: SlackApp, channel: str, text: str, *, thread: str = "") -> str:
    """Posts plain words. Returns Slack's name of the message. Raises SlackError."""
    words = escape(text)
    blocks = [section(part) for part in _parts(words)]
    more: dict[str, Any] = {"thread_ts": thread, "reply_broadcast": True} if thread else {}
    message = {"channel": channel, "text": words[:3_000], "blocks": blocks} | QUIET | more
    answer = call(token_of(app), "chat.postMessage", **message)
    return str(answer.get("ts", ""))


def thread_of(delivery: Delivery) -> str:
    """The card of the delivery's target in its channel, to answer to; empty where there is none."""
    posts = _posts(delivery.organization_id, delivery.announcement.target)
    return next((post.ts for post in posts if post.slack_channel in _names(delivery)), "")


def escape(text: str) -> str:
    """The three characters that mean something to Slack, as text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def section(text: str) -> dict[str, Any]:
    """A block of plain text, escaped already: no markup, no links, no emoji."""
    return {"type": "section", "text": {"type": "plain_text", "text": text or " ", "emoji": False}}


def _parts(text: str, size: int = 2_900) -> list[str]:
    return [text[at : at + size] for at in range(0, min(len(text), size * 4), size)] or [" "]


@contextmanager
def _alone(target: str) -> Iterator[None]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"slack card {target}"])
        yield


def _posts(organization_id: uuid.UUID, target: str) -> list[SlackPost]:
    return list(SlackPost.objects.filter(organization_id=organization_id, target=target).order_by("id"))


def _names(delivery: Delivery) -> set[str]:
    """What its channel is called: as it was when the delivery was made, and as it is."""
    return {delivery.address, *([delivery.channel.address] if delivery.channel else [])}


def _post(app: SlackApp, delivery: Delivery, card: Card) -> SlackPost:
    payload = {"target": delivery.announcement.target, "delivery": show_id("dlv", delivery.id)}
    answer = call(
        token_of(app),
        "chat.postMessage",
        channel=delivery.address,
        text=card.text,
        blocks=card.blocks,
        metadata={"event_type": EVENT_TYPE, "event_payload": payload},
        **QUIET,
    )
    channel = str(answer["channel"])
    if delivery.channel and delivery.address != channel:  # by name: from now on by the id, which no renaming changes
        Channel.objects.filter(id=delivery.channel.id, address=delivery.address).update(address=channel)
    return _record(delivery, channel, str(answer["ts"]), card.hash)


def _record(delivery: Delivery, channel: str, ts: str, shown: str) -> SlackPost:
    return SlackPost.objects.get_or_create(
        slack_channel=channel,
        ts=ts,
        defaults={
            "organization_id": delivery.organization_id,
            "target": delivery.announcement.target,
            "shown": shown,
        },
    )[0]


def _found_again(app: SlackApp, delivery: Delivery) -> SlackPost | None:
    """The card that an earlier attempt posted, should it have died before it was recorded.

    Found by its metadata: Slack has no key against posting twice. Where Slack does not let us look, a second card is
    better than none.
    """
    try:
        answer = ask(
            token_of(app),
            "conversations.history",
            channel=delivery.address,
            oldest=f"{(delivery.created_at - timedelta(minutes=1)).timestamp():.6f}",
            include_all_metadata=True,
            limit=200,
        )
    except SlackError as error:
        if error.retry_after:
            raise
        log.warning("Slack does not say whether a card stands", delivery=str(delivery.id), error=error.code)
        return None
    wanted = {"target": delivery.announcement.target, "delivery": show_id("dlv", delivery.id)}
    for message in answer.get("messages", []):
        metadata = message.get("metadata") or {}
        if metadata.get("event_type") == EVENT_TYPE and metadata.get("event_payload") == wanted:
            return _record(delivery, delivery.address, str(message["ts"]), "")
    return None


def _refresh(app: SlackApp, post: SlackPost, draw: Draw) -> bool:
    """Whether the card had to be changed. One that people deleted is forgotten."""
    card = draw()
    if post.shown == card.hash:
        return False
    try:
        call(
            token_of(app),
            "chat.update",
            channel=post.slack_channel,
            ts=post.ts,
            text=card.text,
            blocks=card.blocks,
            parse="none",
            link_names=False,
        )
    except SlackError as error:
        if error.code not in GONE:
            raise
        post.delete()
        return False
    SlackPost.objects.filter(id=post.id).update(shown=card.hash)
    return True
