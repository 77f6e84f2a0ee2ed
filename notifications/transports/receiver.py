"""An AAP client's receiver is told that its request was decided. Signed as webhooks are; see docs/aap.md."""

from audit.clock import database_now
from notifications import http, vault
from notifications.models import Delivery
from notifications.transports.errors import TransportError
from notifications.transports.webhook import retry_after, sign, words_of

PATIENCE = 10.0  # seconds for one attempt
ASKS = {429, 503}  # whose Retry-After is heeded


def send(delivery: Delivery) -> str:
    """Posts the body, the same bytes under the same id at every attempt, to where the receiver is now.

    Raises TransportError, none of them permanent: it is tried for as long as it may be.
    """
    if delivery.instance is None:
        raise TransportError("The instance was deleted.", permanent=True)
    try:
        secret = vault.unseal(delivery.instance.delivery_secret)
    except vault.Unopenable as error:
        raise TransportError("SECRET_KEY changed: the receiver has to be registered again.") from error
    now, message_id = database_now(), str(delivery.announcement_id)
    moment = int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Warden",
        "webhook-id": message_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": sign(secret, message_id, moment, delivery.text),
    }
    url = delivery.instance.delivery_url
    try:
        answer = http.request("POST", url, body=delivery.text.encode(), headers=headers, deadline=PATIENCE)
    except (http.BadAddress, http.Unreachable) as error:
        raise TransportError(str(error), silent=True) from error
    said = words_of(answer)
    if 200 <= answer.status < 300:
        return said
    asked = retry_after(answer.headers.get("retry-after", ""), now) if answer.status in ASKS else None
    raise TransportError(said, retry_after=asked)
