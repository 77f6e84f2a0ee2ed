"""Whether a receiver expects what it is about to be registered for: asked once, answered by the challenge, or not."""

import json
import secrets
import uuid

from audit.clock import database_now
from audit.leaf import timestamp
from notifications import http
from notifications.transports.webhook import sign

PATIENCE = 10.0  # seconds


class Unsafe(Exception):
    """The URL is malformed, or leads where Warden does not go."""


class Unverified(Exception):
    """It did not echo the challenge in time."""


def verify(*, url: str, secret: str, registration_id: str, instance_id: uuid.UUID) -> None:
    """Sends a signed challenge to `url`. Raises Unsafe, Unverified."""
    now, challenge, message_id = database_now(), secrets.token_urlsafe(32), str(uuid.uuid4())
    message = {
        "id": message_id,
        "type": "webhook.verification",
        "registration_id": registration_id,
        "instance_id": str(instance_id),
        "created_at": timestamp(now),
        "challenge": challenge,
    }
    body = json.dumps(message, separators=(",", ":"))
    moment = int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Warden",
        "webhook-id": message_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": sign(secret, message_id, moment, body),
    }
    try:
        answer = http.request("POST", url, body=body.encode(), headers=headers, deadline=PATIENCE)
    except http.BadAddress as problem:
        raise Unsafe(str(problem)) from problem
    except http.Unreachable as problem:
        raise Unverified(f"The receiver could not be verified: {problem}") from problem
    if answer.status != 200:
        raise Unverified(f"The receiver answered {answer.status}; it has to answer 200 with the challenge")
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = None
    if said != {"challenge": challenge}:
        raise Unverified("The receiver did not answer with the challenge, and nothing else")
