"""Check, wait, claim, act, log: the whole path of one guarded action, as effects."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from ._core import Call, Core, Steps
from ._errors import AgentWardenError, APIError, ApprovalRequiredError, PermissionDeniedError, ValidationError
from ._json import decode, encode, same
from ._models import CheckResult
from ._requests import new_key

Context = Mapping[str, Any]
LONGEST_MESSAGE = 2000


def execute(
    core: Core,
    agent_id: str,
    action: str,
    callback: Callable[..., Any],
    context: Context | None = None,
    *,
    wait: bool = False,
    wait_timeout: float | None = None,
    reasoning: str | None = None,
    expires_in: int | None = None,
) -> Steps[Any]:
    """The callback's value, once Warden has allowed the action; an error of the tree otherwise.

    A callback with a parameter that has no default is given the context that was approved (a dict). One without is
    called bare, and therefore refused when the approver changed what was asked: it could not know.
    """
    if not callable(callback):
        raise ValidationError("callback is something to call")
    guarded = _Guarded(core, agent_id, action, callback, context)
    result = yield from core.check(agent_id, action, context, reasoning=reasoning, expires_in=expires_in)
    if result.requires_approval:
        if not wait:
            yield from guarded.report("pending_approval", result)
            raise _approval_required(action, result)
        return (yield from guarded.after_approval(result, wait_timeout))
    if result.approved_otherwise:
        return (yield from guarded.after_approval(result, wait_timeout))
    if not result.allowed:
        yield from guarded.report("blocked", result, reason=result.reason)
        raise PermissionDeniedError(action, result.reason, approval_id=result.approval_id, request_id=result.request_id)
    return (yield from guarded.act(result, result.effective_context))


class _Guarded:
    """One action on its way, and how each turn of it is logged."""

    def __init__(
        self, core: Core, agent_id: str, action: str, callback: Callable[..., Any], context: Context | None
    ) -> None:
        self.core = core
        self.agent_id = agent_id
        self.action = action
        self.callback = callback
        self.context = context

    def after_approval(self, result: CheckResult, timeout: float | None) -> Steps[Any]:
        approval_id = result.approval_id or ""
        approval = yield from self.core.wait_for_approval(approval_id, timeout=timeout)
        if approval.pending:
            yield from self.report("pending_approval", result)
            raise _approval_required(self.action, result)
        if not approval.approved:
            reason = approval.reason or f"The request was {approval.status}"
            yield from self.refuse(result, reason, "denied", approval.status)
        # Before the claim: an approval nobody can act upon should not be used up.
        yield from self._must_be_told(result, approval.effective_context)
        try:
            claim = yield from self.core.claim(approval_id, new_key())
        except APIError as error:
            if error.status_code != 409:
                raise
            yield from self.refuse(result, str(error.args[0]), "blocked", error.code)
        return (yield from self.act(result, claim.effective_context))

    def act(self, result: CheckResult, effective: Context | None) -> Steps[Any]:
        """Run the callback with what was approved, log what came of it, and hand on its value or its exception."""
        yield from self._must_be_told(result, effective)
        approved = _plain(self.context if effective is None else effective)
        call = (lambda: self.callback(approved)) if takes_context(self.callback) else self.callback
        marks = {"fail_open": True} if result.fail_open else {}
        started = time.monotonic()
        try:
            value = yield Call(call)
        except GeneratorExit:
            raise  # the driver is gone: nothing more can be sent
        except BaseException as error:
            failure = describe(error, self.core.settings.redact)
            hurried = not isinstance(error, Exception)  # Ctrl-C, or a cancelled task
            yield from self.report("failed", result, approved, hurried=hurried, error=failure, **marks)
            raise
        took = round((time.monotonic() - started) * 1000)
        yield from self.report("success", result, approved, duration_ms=took, **marks)
        return value

    def _must_be_told(self, result: CheckResult, effective: Context | None) -> Steps[None]:
        if effective is None or takes_context(self.callback):
            return
        if not same(_plain(self.context), dict(effective)):
            reason = "it was approved with changes, and the callback takes no argument to learn of them"
            yield from self.refuse(result, reason, "blocked", "changed_by_approver")

    def refuse(self, result: CheckResult, reason: str, status: str, code: str | None) -> Steps[NoReturn]:
        yield from self.report(status, result, reason=reason)
        raise PermissionDeniedError(
            self.action, reason, approval_id=result.approval_id, request_id=result.request_id, code=code
        )

    def report(
        self, status: str, result: CheckResult, context: Context | None = None, *, hurried: bool = False, **more: Any
    ) -> Steps[None]:
        yield from self.core.report(
            self.agent_id,
            self.action,
            status,
            {**((self.context if context is None else context) or {}), **more},
            approval_id=result.approval_id,
            decision_id=result.decision_id,
            hurried=hurried,
        )


def _approval_required(action: str, result: CheckResult) -> ApprovalRequiredError:
    return ApprovalRequiredError(
        action,
        result.reason,
        result.approval_id,
        approval_url=result.approval_url,
        request_id=result.request_id,
    )


def _plain(context: Context | None) -> dict[str, Any]:
    """The context as the server was told it: JSON types alone, and a copy the callback may change."""
    value: dict[str, Any] = decode(encode(dict(context or {})).encode())
    return value


def takes_context(callback: Callable[..., Any]) -> bool:
    """Whether the callback has a positional parameter without a default: then it is given the approved context."""
    try:
        parameters = inspect.signature(callback).parameters.values()
    except (TypeError, ValueError):  # some built-in functions have no signature
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in positional and p.default is inspect.Parameter.empty for p in parameters)


def describe(error: BaseException, redact: Callable[[str], str]) -> dict[str, Any]:
    """A failure as data: its type, its message (shortened, without the key) and its code, where it has one."""
    code = getattr(error, "code", None)
    request_id = error.request_id if isinstance(error, AgentWardenError) else getattr(error, "request_id", None)
    told: dict[str, Any] = {
        "type": type(error).__name__,
        "message": _text(redact(str(error))),
        "code": code if isinstance(code, int) and not isinstance(code, bool) else _text(code),
    }
    if isinstance(request_id, str):
        told["request_id"] = _text(request_id)
    return told


def _text(value: Any) -> str | None:
    return value[:LONGEST_MESSAGE].encode("utf-8", "replace").decode() if isinstance(value, str) else None
