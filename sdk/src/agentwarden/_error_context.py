"""A failure as fields of a log's context: what a person needs to see, and nothing that opens a door."""

from __future__ import annotations

import re
from typing import Any

LONGEST_MESSAGE = 2000  # characters
LONGEST_TRACEBACK = 4000
DEEPEST = 20  # frames: the innermost

# What looks like a credential, wherever it stands.
_SECRETS = (
    re.compile(r"\b(?:ak|test|wpat|sk|pk|rk|ghp|gho|xox[a-z])[_-][A-Za-z0-9_-]{12,}"),  # keys and tokens by prefix
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"),  # JWTs
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),  # a URL's user and password
    re.compile(r"(?i)\b(?:basic|bearer)\s+[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(
        r"""(?ix)\b[\w-]*(?:password|passwd|secret|token|api[_-]?key|authorization)["']?\s*[=:]\s*
        (?:"[^"]*"|'[^']*'|[^\s,;)}\]]+)"""
    ),
)


def error_context(
    error: BaseException, *, retry_count: int | None = None, with_traceback: bool = True
) -> dict[str, Any]:
    """The error for the context of a `failed` log: `guard.log(…, "failed", {"amount": 20, **error_context(error)})`.

    `error_type`, `error_message`, and, where there are such, `error_code`, `request_id`, `retry_count` and `traceback`:
    the innermost frames, without local variables. Texts are cut, and what looks like a credential becomes [redacted].
    """
    told: dict[str, Any] = {"error_type": type(error).__name__, "error_message": clean(str(error), LONGEST_MESSAGE)}
    code, request_id = getattr(error, "code", None), getattr(error, "request_id", None)
    if isinstance(code, str | int) and not isinstance(code, bool):
        told["error_code"] = clean(code, LONGEST_MESSAGE) if isinstance(code, str) else code
    if isinstance(request_id, str):
        told["request_id"] = clean(request_id, LONGEST_MESSAGE)
    if retry_count is not None:
        told["retry_count"] = retry_count
    if with_traceback and error.__traceback__ is not None:
        told["traceback"] = _traceback(error)
    return told


def _traceback(error: BaseException) -> str:
    import traceback  # loaded by whoever has something to tell

    frames = traceback.TracebackException.from_exception(error, limit=-DEEPEST, compact=True)
    text = clean("".join(frames.format(chain=False)).rstrip(), None)
    return text if len(text) <= LONGEST_TRACEBACK else f"… {text[-LONGEST_TRACEBACK:]}"


def clean(text: str, most: int | None) -> str:
    """The text without what looks like a credential, cut, and fit to be sent."""
    for pattern in _SECRETS:
        text = pattern.sub("[redacted]", text)
    return text[:most].encode("utf-8", "replace").decode()
