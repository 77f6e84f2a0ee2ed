"""Answers, as bytes: one shape for errors, and the request id on all of them."""

from typing import Any, NamedTuple

import msgspec

from gateway.bodies import ErrorAnswer

encode = msgspec.json.Encoder().encode


class Answer(NamedTuple):
    """A status, a JSON body, and further headers."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def ok(body: Any) -> Answer:
    return Answer(200, encode(body))


def error(status: int, detail: str, code: str | None = None, *headers: tuple[bytes, bytes]) -> Answer:
    """An error as all of /sdk says it: {"detail": …} and, where programs tell cases apart, "code"."""
    body = ErrorAnswer(detail, code) if code else ErrorAnswer(detail)
    return Answer(status, encode(body), headers)


BEARER = (b"www-authenticate", b"Bearer")
UNAUTHORIZED = error(401, "Invalid API key", None, BEARER)
UNKNOWN_IDENTITY = error(401, "No agent here has this SPIFFE ID, or it is banned", None, BEARER)
WELL = Answer(200, b"{}")
NO_AGENT = error(404, "Agent not found")
NOT_FOUND = error(404, "Not found")
NO_PATH = error(404, "No policy of this organization has this path")
NO_APPROVAL = error(404, "Approval not found")
FOREIGN_AGENT = error(403, "This API key belongs to another agent")
NO_SCOPE = error(403, "This API key does not have the scope that this needs")
DOUBLED = error(400, "Headers that say who asks, and Idempotency-Key, may be sent once each")
TOO_SLOW = error(408, "The body did not arrive in time")
TOO_LARGE = error(413, "The body is too large")
UNAVAILABLE = error(503, "The decision could not be recorded; do not act, and try again", None, (b"retry-after", b"1"))
TOO_MANY_WAITING = error(503, "Too many requests are waiting; try again", None, (b"retry-after", b"5"))
FAILED = error(500, "Something went wrong; do not act")
KEY_REUSED = error(422, "This idempotency key was used with another body", "idempotency_conflict")
KEY_NEEDED = error(422, "Idempotency-Key: this header is required", "idempotency_key_required")
