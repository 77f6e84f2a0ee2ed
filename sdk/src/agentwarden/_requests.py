"""Building requests and telling a good answer from a refusal: the wire, without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from ._errors import (
    AgentNotFoundError,
    AgentWardenError,
    APIError,
    AuthenticationError,
    PermissionDeniedError,
    RateLimitError,
    ValidationError,
)
from ._json import MalformedJSON, encode
from ._models import Answer
from ._retry import parse_retry_after

LOG_STATUSES = ("success", "failed", "denied", "blocked", "pending", "pending_approval")


@dataclass(frozen=True, slots=True)
class Request:
    """One call to Warden. `agent_id` and `action` are there for the errors it may end in."""

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    agent_id: str | None = None
    action: str | None = None


def new_key() -> str:
    """A fresh idempotency key."""
    return uuid4().hex


def check_request(
    agent_id: str,
    action: str,
    context: Mapping[str, Any] | None,
    *,
    reasoning: str | None,
    expires_in: int | None,
    idempotency_key: str,
) -> Request:
    body: dict[str, Any] = {"agent_id": _name("agent_id", agent_id), "action": _name("action", action)}
    body["context"] = _context(context)
    if reasoning is not None:
        body["reasoning"] = _text("reasoning", reasoning)
    if expires_in is not None:
        if type(expires_in) is not int or expires_in < 1:
            raise ValidationError(f"expires_in is a whole number of seconds, at least 1; not {expires_in!r}")
        body["expires_in"] = expires_in
    return _post("/sdk/check", body, idempotency_key=idempotency_key, agent_id=agent_id, action=action)


def log_request(
    agent_id: str,
    action: str,
    status: str,
    context: Mapping[str, Any] | None,
    *,
    ip_address: str | None,
    approval_id: str | None,
    decision_id: str | None,
    idempotency_key: str,
) -> Request:
    if status not in LOG_STATUSES:
        raise ValidationError(f"status is one of {', '.join(LOG_STATUSES)}; not {status!r}")
    body: dict[str, Any] = {"agent_id": _name("agent_id", agent_id), "action": _name("action", action)}
    body.update(status=status, context=_context(context))
    more = {"ip_address": ip_address, "approval_id": approval_id, "decision_id": decision_id}
    body.update({name: _text(name, value) for name, value in more.items() if value is not None})
    return _post("/sdk/log", body, idempotency_key=idempotency_key, agent_id=agent_id, action=action)


def approval_request(approval_id: str, *, wait: int = 0) -> Request:
    """Read an approval; with `wait`, the server answers when it is decided or after so many seconds (30 at most)."""
    params = {"wait": f"{wait}s"} if wait else {}
    return Request("GET", f"/sdk/approvals/{approval_path(approval_id)}", params=params)


def claim_request(approval_id: str, *, idempotency_key: str, audience: str | None = None) -> Request:
    body = None if audience is None else {"audience": _name("audience", audience)}
    return _post(f"/sdk/approvals/{approval_path(approval_id)}/claim", body, idempotency_key=idempotency_key)


def cancel_request(approval_id: str) -> Request:
    return _post(f"/sdk/approvals/{approval_path(approval_id)}/cancel", None)


def comment_request(
    approval_id: str, text: str, attachment: Mapping[str, str] | None, *, idempotency_key: str
) -> Request:
    body: dict[str, Any] = {"text": _name("text", text)}
    if attachment is not None:
        if not isinstance(attachment, Mapping) or set(attachment) != {"name", "text"}:
            raise ValidationError("attachment is a mapping with a name and a text")
        body["attachment"] = {name: _name(f"attachment.{name}", value) for name, value in attachment.items()}
    return _post(f"/sdk/approvals/{approval_path(approval_id)}/comments", body, idempotency_key=idempotency_key)


def _post(
    path: str,
    body: Any,
    *,
    idempotency_key: str | None = None,
    agent_id: str | None = None,
    action: str | None = None,
) -> Request:
    headers = {}
    if idempotency_key is not None:
        if not isinstance(idempotency_key, str) or not re.fullmatch(r"[\x21-\x7e]{1,200}", idempotency_key):
            raise ValidationError("idempotency_key is 1 to 200 printable ASCII characters without spaces")
        headers["Idempotency-Key"] = idempotency_key
    content = None if body is None else encode(body, what="request").encode()
    return Request("POST", path, body=content, headers=headers, agent_id=agent_id, action=action)


def _name(what: str, value: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValidationError(f"{what} is a text that is not empty; not {value!r}")
    return value


def _text(what: str, value: str) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"{what} is a text; not {type(value).__name__}")
    return value


def _context(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValidationError(f"context is a mapping from texts to JSON values; not {type(value).__name__}")
    return dict(value)


def approval_path(approval_id: str) -> str:
    """The id as it stands in an address. Raises ValidationError for what is none."""
    if not isinstance(approval_id, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", approval_id):
        raise ValidationError(f"approval_id is an id such as apr_…; not {approval_id!r}")
    return approval_id


def refusal(request: Request, answer: Answer) -> AgentWardenError | None:
    """The error this answer is, or None for a 200. A redirect, a 204 or a 206 is as good as none: an error."""
    status = answer.status_code
    if status == 200:
        return None
    detail, code = _detail(answer)
    about: dict[str, Any] = {"request_id": answer.request_id, "status_code": status, "code": code}
    if 300 <= status <= 399:
        return APIError(f"Warden answered with a redirect ({status}), which is not followed: check base_url", **about)
    message = detail or f"Warden answered {status}"
    if status == 401:
        return AuthenticationError(message, **about)
    if status == 403:
        return PermissionDeniedError(request.action or f"{request.method} {request.path}", message, **about)
    # A 404 that is not ours (a proxy's page, a wrong path) says nothing about the agent.
    if status == 404 and detail and request.agent_id:
        return AgentNotFoundError(request.agent_id, **about)
    if status == 422:
        return ValidationError(message, **about)
    if status == 429:
        return RateLimitError(message, retry_after=parse_retry_after(answer.headers), **about)
    return APIError(message, retry_after=parse_retry_after(answer.headers), **about)


def _detail(answer: Answer) -> tuple[str | None, str | None]:
    """`detail` and `code` of an error answer; a detail that is not a text (a list of fields) is shown as JSON."""
    try:
        value = answer.json()
    except MalformedJSON:
        return None, None
    if not isinstance(value, dict):
        return None, None
    detail, code = value.get("detail"), value.get("code")
    if detail is not None and not isinstance(detail, str):
        detail = json.dumps(detail)
    return _printable(detail, 2000), _printable(code, 100) if isinstance(code, str) else None


def _printable(text: str | None, most: int) -> str | None:
    return text[:most].encode("utf-8", "replace").decode() if text else None
