"""Errors as AAP says them: {"error": {"type", "code", "message", "request_id"}}."""

import msgspec

from gateway.aap.bodies import ErrorFacts, Failure
from gateway.answers import Answer, encode, error

PATH = "/aap/"
TYPES = {
    401: "authentication",
    403: "authorization",
    404: "not_found",
    409: "conflict",
    429: "rate_limit",
    500: "internal",
    503: "dependency",
}
CODES = {
    400: "invalid_request",
    401: "invalid_credential",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "body_too_slow",
    413: "body_too_large",
    429: "rate_limited",
    500: "internal",
    503: "unavailable",
}

NO_REQUEST = error(404, "There is no such request of this instance")
NO_INSTANCE = error(404, "There is no such instance of this provisioner")
NEEDS_KEY = error(400, "Idempotency-Key: this header is required", "missing_idempotency_key")
KEY_REUSED = error(409, "This idempotency key was used with other fields", "idempotency_conflict")
TERMINAL = error(409, "This request is decided already", "already_terminal")
CONSUMED = error(409, "This approval was consumed already", "already_consumed")
NOT_APPROVED = error(409, "This request is not approved", "not_approved")
EXPIRED = error(409, "The approval expired before it was consumed", "approval_expired")
NOT_CONSUMED = error(409, "There is no outcome before the approval is consumed", "not_consumed")
OTHER_OUTCOME = error(409, "Another outcome was reported already", "outcome_conflict")
INSTANCE_DELETED = error(409, "The instance that this key made is retired", "instance_deleted")
NOT_VERIFIED = "webhook_verification_failed"
COVERED = error(
    403,
    "Privacy rules cover values of this call, and a call is given back as it was sent: ask about it over /sdk/check",
    "covered_by_privacy",
)
NO_AGENT = error(403, "This credential speaks for every agent: AAP needs one of a single agent")
NOT_AN_INSTANCE = error(403, "A provisioner token manages instances; requests need an instance's credential")
NOT_A_PROVISIONER = error(403, "An instance's credential makes requests; instances need a provisioner token")
NO_TOKEN = error(401, "Invalid provisioner token", None, (b"www-authenticate", b"Bearer"))


def as_aap(answer: Answer, request_id: bytes) -> Answer:
    """An error of the door's, in the words of the protocol."""
    said = msgspec.json.decode(answer.body)
    status = answer.status
    if status == 422 and said.get("code") != NOT_VERIFIED:
        status = 400
    facts = ErrorFacts(
        type=TYPES.get(status, "invalid_request"),  # type: ignore[arg-type]
        code=said.get("code") or CODES.get(status, "invalid_request"),
        message=said["detail"],
        request_id=request_id.decode(),
    )
    return Answer(status, encode(Failure(facts)), answer.headers)
