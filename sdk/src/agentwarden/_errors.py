"""What can go wrong, as one tree.

    AgentWardenError
    ├── AuthenticationError      401: the key is missing, wrong, revoked or expired
    ├── PermissionDeniedError    the answer was no (or 403: this key may not speak for that agent)
    ├── ApprovalRequiredError    a person has to decide first; carries the approval's id
    ├── AgentNotFoundError       404: no such agent
    ├── RateLimitError           429: too many calls; carries `retry_after`, in seconds
    ├── ValidationError          422, or an argument refused before anything was sent (also a ValueError)
    ├── NetworkError             nothing was heard: no connection, a time-out, a broken answer
    ├── BatchError               some items of a batch failed; carries `result`
    ├── ReceiptError             a receipt does not show what it should: do not act
    └── APIError                 anything else: 409, 413, 5xx, a redirect, an answer that is not well formed

Every one has `request_id` (quote it when asking the server's admin), `status_code` and `code` (the server's short name
of what happened, such as `already_claimed`), each None where there is none. None of them ever means "allowed".
"""

from __future__ import annotations

from typing import Any


class AgentWardenError(Exception):
    """The root of the tree: `except AgentWardenError` catches everything this package raises."""

    def __init__(
        self, message: str, *, request_id: str | None = None, status_code: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.status_code = status_code
        self.code = code

    def __str__(self) -> str:
        message = str(self.args[0])
        return f"{message} [request {self.request_id}]" if self.request_id else message

    def __reduce__(self) -> tuple[Any, ...]:
        # The constructors of subclasses take other arguments than `args`; without this no task queue could carry them.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[AgentWardenError], args: tuple[Any, ...], state: dict[str, Any]) -> AgentWardenError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class AuthenticationError(AgentWardenError):
    """The API key was refused."""


class PermissionDeniedError(AgentWardenError):
    """The action must not be done: by policy, by a person, or because the approval can no longer be used."""

    def __init__(
        self,
        action: str,
        reason: str | None = None,
        *,
        approval_id: str | None = None,
        request_id: str | None = None,
        status_code: int | None = None,
        code: str | None = None,
    ) -> None:
        message = f"Permission denied for action '{action}'" + (f": {reason}" if reason else "")
        super().__init__(message, request_id=request_id, status_code=status_code, code=code)
        self.action = action
        self.reason = reason
        self.approval_id = approval_id


class ApprovalRequiredError(AgentWardenError):
    """A person has to decide first. `approval_id` is what to wait for, `approval_url` where the person decides."""

    def __init__(
        self,
        action: str,
        reason: str | None = None,
        approval_id: str | None = None,
        *,
        approval_url: str | None = None,
        request_id: str | None = None,
        status_code: int | None = None,
        code: str | None = None,
    ) -> None:
        message = f"Action '{action}' requires human approval" + (f": {reason}" if reason else "")
        super().__init__(message, request_id=request_id, status_code=status_code, code=code)
        self.action = action
        self.reason = reason
        self.approval_id = approval_id
        self.approval_url = approval_url


class AgentNotFoundError(AgentWardenError):
    """The server knows no agent of this name in the key's organization."""

    def __init__(
        self, agent_id: str, *, request_id: str | None = None, status_code: int | None = None, code: str | None = None
    ) -> None:
        super().__init__(f"Agent '{agent_id}' not found", request_id=request_id, status_code=status_code, code=code)
        self.agent_id = agent_id


class RateLimitError(AgentWardenError):
    """Too many calls with this key. `retry_after`: seconds to wait, None when the server did not say."""

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        request_id: str | None = None,
        status_code: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id, status_code=status_code, code=code)
        self.retry_after = retry_after


class ValidationError(AgentWardenError, ValueError):
    """An argument, a setting or a context that cannot be sent, or that the server refused with 422."""


class NetworkError(AgentWardenError):
    """No usable answer arrived: the server may or may not have seen the request."""


class BatchError(AgentWardenError):
    """Some items of a batch failed; all of them were tried. `result` is a BatchResult, with both lists."""

    def __init__(self, action: str, result: Any) -> None:
        kinds = ", ".join(f"{type(error).__name__}: {error}" for _, error in result.failed[:5])
        count = len(result.done) + len(result.failed)
        super().__init__(f"{len(result.failed)} of {count} of '{action}' failed: {kinds}")
        self.action = action
        self.result = result


class ReceiptError(AgentWardenError):
    """The receipt does not show what it should: do not act. The text says why."""


class APIError(AgentWardenError):
    """The server answered, but not with something to act upon.

    `retry_after`: seconds, where the server said when to come back (503), else None.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        request_id: str | None = None,
        status_code: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id, status_code=status_code, code=code)
        self.retry_after = retry_after
