"""Slack's Web API through slack-sdk: one way in, one error out, no second try behind our back."""

import http.client
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from django.conf import settings
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from notifications.models import SlackApp
from notifications.vault import Unopenable, unseal

PATIENCE = 6  # seconds for a message: three calls of one delivery fit into its lease
AT_ONCE = 1  # seconds where somebody waits for us: Slack wants its answer within three
_end: ContextVar[float] = ContextVar("_end", default=math.inf)  # time.monotonic() by which calls to Slack are over

# What will not get better by itself, in words for the admins of the organization.
CREDENTIALS = {
    "invalid_auth": "Slack does not accept the bot token. Connect Slack again.",
    "not_authed": "Slack does not accept the bot token. Connect Slack again.",
    "token_revoked": "The bot token was revoked in Slack. Connect Slack again.",
    "token_expired": "The bot token has expired. Connect Slack again, with token rotation off.",
    "account_inactive": "The app was removed from the workspace. Connect Slack again.",
    "org_login_required": "The workspace is being migrated by Slack. Enable Slack again when that is over.",
    "team_access_not_granted": "The app has no access to this workspace any more. Connect Slack again.",
}
CHANNELS = {
    "channel_not_found": "Slack knows no such channel, or the app is not in it. Invite the app with /invite.",
    "is_archived": "The channel was archived in Slack. Choose another, or unarchive it.",
    "not_in_channel": "The app is not in this channel. Invite it with /invite, then enable the channel.",
    "restricted_action": "The workspace lets this app post nothing there. Its admins can allow it.",
    "restricted_action_read_only_channel": "The channel is read-only for the app. Its admins can let it post.",
    "missing_scope": "The app lacks a permission. Update it with the manifest shown in Warden, and reinstall it.",
}


class SlackError(Exception):
    """Slack did not do it. `code` is Slack's word, or `unreachable`; the text is a sentence for people."""

    def __init__(self, code: str, text: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(text)
        self.code, self.retry_after = code, retry_after

    @property
    def of_credentials(self) -> bool:
        """Whether nothing can be sent at all until somebody connects Slack again."""
        return self.code in CREDENTIALS

    @property
    def of_channel(self) -> bool:
        """Whether nothing can be sent to this channel until somebody mends it."""
        return self.code in CHANNELS


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Inside, calls to Slack take so long in all: one that could not end by then is not begun."""
    token = _end.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _end.reset(token)


def check_time(timeout: int) -> None:
    """Raises SlackError where a call of so many seconds could last longer than it may (see `within`)."""
    if time.monotonic() + timeout > _end.get():
        raise SlackError("unreachable", "Slack is too slow at the moment.")


def token_of(app: SlackApp) -> str:
    """The bot token. Raises SlackError where SECRET_KEY changed since it was stored."""
    try:
        return unseal(app.bot_token)
    except Unopenable as error:
        raise SlackError("invalid_auth", "SECRET_KEY changed: connect Slack again.") from error


def web_client(token: str | None, *, timeout: int = PATIENCE) -> WebClient:
    """slack-sdk's client. Without its retries: a message whose answer was lost may have been posted."""
    return WebClient(token=token, base_url=settings.SLACK_API_URL, timeout=timeout, retry_handlers=[])


def call(token: str | None, method: str, *, timeout: int = PATIENCE, **arguments: Any) -> dict[str, Any]:
    """Calls a method that takes JSON, and returns its answer. Raises SlackError."""
    check_time(timeout)
    return _api(web_client(token, timeout=timeout), method, json=arguments)


def ask(token: str | None, method: str, *, timeout: int = PATIENCE, **arguments: Any) -> dict[str, Any]:
    """As call(), for the methods that read: those take a form. Raises SlackError."""
    check_time(timeout)
    return _api(web_client(token, timeout=timeout), method, params=arguments)


def _api(client: WebClient, method: str, **arguments: Any) -> dict[str, Any]:
    try:
        answer = client.api_call(method, **arguments)
    except SlackApiError as error:
        raise _refused(error) from error
    except (SlackClientError, OSError, http.client.HTTPException, ValueError) as error:
        raise SlackError("unreachable", f"Slack could not be reached ({type(error).__name__}).") from error
    return dict(answer.data) if isinstance(answer.data, dict) else {}


def _refused(error: SlackApiError) -> SlackError:
    response = error.response
    status = response.status_code
    if status == 429:
        header = {name.lower(): value for name, value in response.headers.items()}.get("retry-after", "")
        seconds = int(header) if header.isascii() and header.isdigit() else 30
        return SlackError("ratelimited", "Slack asks to slow down.", retry_after=timedelta(seconds=seconds))
    data = response.data if isinstance(response.data, dict) else {}
    code = str(data.get("error", ""))
    if status >= 500 or not code.isascii() or not code.replace("_", "").isalnum():  # a proxy's page, not Slack's word
        return SlackError("unreachable", f"Slack answered {status}.")
    return SlackError(code, CREDENTIALS.get(code) or CHANNELS.get(code) or f"Slack refused: {code}.")
