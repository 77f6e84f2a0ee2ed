"""Webhooks, signed by the Standard Webhooks scheme (https://www.standardwebhooks.com, version 1)."""

import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from audit.clock import database_now
from audit.ids import show_id
from notifications import http, vault
from notifications.models import Delivery
from notifications.transports.errors import TransportError

PREFIX = "whsec_"
GIVE_UP_REFUSED = 5  # attempts that a server may refuse (4xx) before the message is given up
OF_RECEIVER = {401, 403, 404, 405, 407}  # these, like redirects, speak of the address, whatever the message
SHOWN = 200  # characters of an answer's body that the delivery log keeps


def new_secret() -> str:
    """`whsec_` and 32 random bytes in base 64: what the receiver verifies signatures with."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: str) -> str:
    """`v1,` and the base 64 of HMAC-SHA256 over `id.timestamp.body`. Raises ValueError where `secret` is malformed."""
    if not secret.startswith(PREFIX):
        raise ValueError("a webhook secret starts with whsec_")
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    mac = hmac.new(key, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256)
    return f"v1,{base64.b64encode(mac.digest()).decode()}"


def send(delivery: Delivery) -> str:
    """Posts the body, the same bytes at every attempt, under the same `webhook-id`. Raises TransportError."""
    if delivery.channel is None:
        raise TransportError("The channel was deleted.", permanent=True)
    try:
        secret = vault.unseal(delivery.channel.secret)
    except vault.Unopenable as error:
        raise TransportError("SECRET_KEY changed: rotate this channel's secret.", disable=True) from error
    now = database_now()
    message_id, timestamp = show_id("dlv", delivery.id), int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Warden",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, message_id, timestamp, delivery.text),
    }
    try:
        answer = http.post(delivery.address, body=delivery.text.encode(), headers=headers)
    except http.BadAddress as error:
        raise TransportError(str(error), disable=True) from error
    except http.Unreachable as error:
        raise TransportError(str(error), silent=True) from error
    said = words_of(answer)
    if 200 <= answer.status < 300:
        return said
    raise _refusal(answer, said, delivery.attempts, now)


def _refusal(answer: http.Answer, said: str, attempts: int, now: datetime) -> TransportError:
    """410 ends the channel; 429, 5xx and time-outs are waited for; other refusals are tried a few times.

    Those that speak of the receiver, not of the message, then end the channel too.
    """
    if answer.status == 410:
        return TransportError(said, disable=True)
    if answer.status >= 500 or answer.status in (408, 425, 429):
        asked = retry_after(answer.headers.get("retry-after", ""), now)
        return TransportError(said, retry_after=asked, silent=asked is not None)
    is_redirect = 300 <= answer.status < 400
    enough = attempts >= GIVE_UP_REFUSED
    return TransportError(
        f"{said} (redirects are not followed)" if is_redirect else said,
        permanent=enough,
        disable=enough and (is_redirect or answer.status in OF_RECEIVER),
    )


def retry_after(value: str, now: datetime) -> timedelta | None:
    """Seconds or an HTTP date (RFC 9110, 10.2.3); None for anything else."""
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 9:
        return timedelta(seconds=int(value))
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(moment - now, timedelta())


def words_of(answer: http.Answer) -> str:
    """What the delivery log keeps of an answer."""
    words = " ".join(answer.body.decode("utf-8", "replace").replace("\0", "\ufffd").split())
    return f"{answer.status} {words[:SHOWN]}".strip()
