"""Is this request Slack's, fresh, and new? Whatever else it is, the answer is 401, never an exception.

slack-sdk's own verifier takes a replay, and raises on a timestamp that is no integer, on a signature that is not ASCII
and on a body that is not UTF-8; nor does it know the database's clock.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import connection
from django.http import HttpRequest, UnreadablePostError

from audit.clock import database_now
from notifications.models import SlackApp
from notifications.slack.apps import identify, signing_secret_of
from notifications.slack.client import SlackError

WINDOW = 300  # seconds, Slack's own advice
# Twelve times the window, and longer than a link lives that was offered in Slack. A few at a time, waiting for nobody.
FORGET = """
DELETE FROM notifications_slackcall WHERE signature IN (
    SELECT signature FROM notifications_slackcall WHERE at < clock_timestamp() - interval '1 hour'
    ORDER BY at LIMIT 100 FOR UPDATE SKIP LOCKED
)
"""
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_FORM = "application/x-www-form-urlencoded"


class Forged(Exception):
    """Not Slack's, not fresh, or not new. The text is for the log."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What came, before anybody believes it. `payload` is the JSON or the form, whichever this address takes."""

    body: bytes
    timestamp: str
    signature: str
    payload: dict[str, Any]
    is_retry: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One authentic request. `app` is None for a challenge, which concerns no workspace."""

    app: SlackApp | None
    payload: dict[str, Any]
    is_new: bool


def read(request: HttpRequest) -> Signed:
    """The parts of a request. Raises Forged for whatever Slack would not send."""
    headers = request.headers
    timestamp = headers.get("X-Slack-Request-Timestamp", "")
    signature = headers.get("X-Slack-Signature", "")
    if not _TIMESTAMP.fullmatch(timestamp) or not _SIGNATURE.fullmatch(signature):
        raise Forged("no signature of Slack's form")
    try:
        body = request.body
        text = body.decode()
        payload = _form(text) if request.content_type == _FORM else json.loads(text)
    except (UnreadablePostError, RequestDataTooBig, OSError) as error:
        raise Forged("the body cannot be read") from error
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise Forged("the body is malformed") from error
    if not isinstance(payload, dict):
        raise Forged("the body is no object")
    return Signed(body, timestamp, signature, payload, "X-Slack-Retry-Num" in headers)


def _form(text: str) -> dict[str, Any]:
    """A form's fields; of an interaction, the JSON in its field `payload`."""
    form = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=100))
    return json.loads(form["payload"]) if "payload" in form else form


def check(signed: Signed) -> Call:
    """Who signed it, when, and whether for the first time. Raises Forged.

    Must run in the transaction of what the call does: a call that failed halfway was not taken, and Slack's retry is.
    """
    if abs(database_now().timestamp() - int(signed.timestamp)) > WINDOW:
        raise Forged("older than five minutes, or from the future")
    app = None
    if signed.payload.get("type") == "url_verification":
        _check_challenge(signed)
    else:
        app = _app(signed)
    is_new = take(signed.signature)
    if not is_new and not signed.is_retry:
        raise Forged("a replay")
    return Call(app, signed.payload, is_new)


def take(name: str) -> bool:
    """Whether this signature (or envelope of Socket Mode) comes for the first time. Waits for a twin in progress."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET)
        cursor.execute(
            "INSERT INTO notifications_slackcall (signature) VALUES (%s) ON CONFLICT DO NOTHING", [name[:80]]
        )
        return bool(cursor.rowcount)


def _app(signed: Signed) -> SlackApp:
    enterprise, team = workspace(signed.payload)
    for app in _installed(enterprise, team):
        if _is_signed_by(signing_secret_of(app), signed) and _is_of(app, team):
            return app
    raise Forged("signed by nobody we know")


def _check_challenge(signed: Signed) -> None:
    """A challenge names no workspace: any secret that is ours will do, as the answer tells nothing."""
    secrets = {settings.SLACK_SIGNING_SECRET, *map(signing_secret_of, SlackApp.objects.filter(is_active=True))}
    if not any(_is_signed_by(secret, signed) for secret in secrets):
        raise Forged("a challenge signed by nobody we know")


def _installed(enterprise: str, team: str) -> list[SlackApp]:
    """The installation in that workspace; else those of which only the token is known yet (environment)."""
    active = SlackApp.objects.select_related("organization").filter(is_active=True)
    if not team:
        return []
    found = active.filter(team_id=team)
    if enterprise:
        found = found.filter(enterprise_id__in=[enterprise, ""])
    return list(found) or list(active.filter(team_id=""))


def _is_of(app: SlackApp, team: str) -> bool:
    try:
        return identify(app).team_id == team
    except SlackError:
        return False  # Slack does not say whose token ours is: nothing is known, so nothing is believed


def workspace(payload: Mapping[str, Any]) -> tuple[str, str]:
    """(enterprise, team) where the app is installed, from any of Slack's shapes; empty where it does not say."""
    view = payload.get("view")
    installed = view.get("app_installed_team_id") if isinstance(view, dict) else None
    team = installed or _id(payload.get("team")) or payload.get("team_id")
    enterprise = _id(payload.get("enterprise")) or payload.get("enterprise_id")
    return slack_id(enterprise), slack_id(team)


def _id(thing: Any) -> Any:
    return thing.get("id") if isinstance(thing, dict) else None


def slack_id(value: Any) -> str:
    """An identifier of Slack's form, such as T0123ABC; empty for anything else."""
    return value if isinstance(value, str) and len(value) <= 32 and value.isascii() and value.isalnum() else ""


def _is_signed_by(secret: str, signed: Signed) -> bool:
    if not secret:
        return False
    base = b"v0:" + signed.timestamp.encode() + b":" + signed.body
    wanted = "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), signed.signature.encode())
