"""Words for the one who clicked, that nobody else sees."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from slack_sdk.webhook import WebhookClient

from notifications.models import SlackApp
from notifications.slack.cards import escape, section
from notifications.slack.client import AT_ONCE, SlackError, call, check_time, token_of

log = structlog.get_logger(__name__)


def words(text: str, url: str = "", label: str = "Link my account") -> dict[str, Any]:
    """An ephemeral message: plain text, and a button that opens an address of ours."""
    blocks = [section(escape(text))]
    if url:
        label_text = {"type": "plain_text", "text": label, "emoji": False}
        button = {"type": "button", "action_id": "warden_open", "text": label_text, "url": url, "style": "primary"}
        blocks.append({"type": "actions", "elements": [button]})
    return {"response_type": "ephemeral", "text": escape(text), "blocks": blocks}


def whisper(app: SlackApp, payload: Mapping[str, Any], text: str, url: str = "") -> None:
    """Tells the clicker. What they did is committed: should this fail, the card tells them by and by."""
    message = words(text, url)
    address = payload.get("response_url")
    try:
        if isinstance(address, str) and _is_slacks(address):
            check_time(AT_ONCE)
            client = WebhookClient(address, timeout=AT_ONCE, retry_handlers=[])
            answer = client.send_dict(message | {"replace_original": False})
            if answer.status_code == 200:
                return
        channel, user = payload.get("channel"), payload.get("user")
        call(
            token_of(app),
            "chat.postEphemeral",
            timeout=AT_ONCE,
            channel=channel.get("id", "") if isinstance(channel, dict) else "",
            user=user.get("id", "") if isinstance(user, dict) else "",
            text=message["text"],
            blocks=message["blocks"],
        )
    except (SlackError, OSError) as error:
        log.warning("a person in Slack could not be told", error=type(error).__name__)


def _is_slacks(address: str) -> bool:
    """Whether it is at Slack's own host for such addresses, or at the one that SLACK_API_URL names."""
    api, other = urlsplit(settings.SLACK_API_URL), urlsplit(address)
    hosts = {api.netloc, f"hooks.{api.netloc}"}
    return other.scheme == api.scheme and other.netloc in hosts
