"""The blocking client."""

from __future__ import annotations

import functools
import inspect
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ._batch import Batch, BatchResult, Item, Value
from ._config import settings
from ._core import Call, Core, Effect, Send, Steps
from ._errors import ValidationError
from ._execute import execute
from ._models import Approval, CheckResult, Claim, Comment, Identity, LogResult
from ._observe import Observer
from ._protect import ContextSource, Protected

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    import httpx

    from ._http import Wire

T = TypeVar("T")
P = ParamSpec("P")


class AgentWarden:
    """Asks Warden before an agent acts. Make one, share it between threads, and close it (or use `with`).

    api_key: `ak_…`, or `test_…` for isolated data; else the environment's AGENTWARDEN_API_KEY.
    base_url: `https://…`, or `http://localhost…`; else AGENTWARDEN_BASE_URL.
    timeout: seconds one call may take in all, its retries and pauses included. An attempt gets half of what is left,
        the last one all of it. Waiting for a person is counted apart, by `wait_for_approval`.
    max_retries: how often a call is repeated, under the same idempotency key, after a connection error, a time-out,
        429, 500, 502, 503 or 504, and after nothing else.
    backoff: seconds; the pause before retry n is random between 0 and `backoff * 2**n`, and no less than the server's
        Retry-After.
    fail_open_actions: exact names of actions that may go ahead while Warden cannot be reached (no connection,
        time-out, 5xx). Each such allow is logged by the logger `agentwarden`, marked `fail_open` and reported when the
        server is back. For harmless actions only; empty by default.
    cache_ttl: seconds (60 at most) for which unconditional allows and denials that the server marked as cacheable are
        answered from memory; 0, the default, asks every time. Approvals are never remembered.
    cache_size: how many answers are remembered at most.
    observers: who is told of checks and waits: `PrometheusMetrics` of `agentwarden.metrics`, `OpenTelemetry` of
        `agentwarden.tracing`, or your own with their two methods.
    ssl_context: for a private certification authority, or a client certificate.
    transport: an httpx transport, for tests (see `agentwarden.testing`).

    A setting that cannot work raises a ValidationError, which is a ValueError. All calls raise the errors of the tree
    under `AgentWardenError`; none of them means that the action is allowed.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 10.0,
        *,
        max_retries: int = 3,
        backoff: float = 0.25,
        fail_open_actions: Iterable[str] = (),
        cache_ttl: float = 0,
        cache_size: int = 1024,
        observers: Iterable[Observer] = (),
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = settings(
            api_key,
            base_url,
            timeout=timeout,
            max_retries=max_retries,
            backoff=backoff,
            fail_open_actions=fail_open_actions,
            cache_ttl=cache_ttl,
            cache_size=cache_size,
        )
        from ._http import Wire  # loads httpx: not before somebody needs it

        self._core = Core(self._settings, observers)
        self._wire = Wire(self._settings, ssl_context=ssl_context, transport=transport)
        # Whoever forgets to close it, or is ended by the interpreter's end, still reports what is overdue.
        self._end = weakref.finalize(self, _end, self._core, self._wire)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._settings.base_url!r})"

    def __enter__(self) -> AgentWarden:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Try once more, for two seconds, to deliver what could not be reported; then close the connections."""
        self._end()

    def clear_cache(self) -> None:
        """Forget every remembered answer, for example after permissions were changed."""
        self._core.cache.clear()

    def check(
        self,
        agent_id: str,
        action: str,
        context: Mapping[str, Any] | None = None,
        *,
        reasoning: str | None = None,
        expires_in: int | None = None,
        idempotency_key: str | None = None,
    ) -> CheckResult:
        """Ask whether the agent may do the action now; the result is true only if it may.

        context: what the decision depends on and what the approver reads, such as `{"amount": 42.5}`; JSON values,
            and Decimal, dates, UUID and Enum.
        reasoning: why the agent wants this, for the approver.
        expires_in: seconds after which a request for approval is moot.
        idempotency_key: the same key always gets the same answer. By default each call has its own, kept through its
            retries, so that repeating an identical check learns what was decided meanwhile.
        """
        return self._run(
            self._core.check(
                agent_id,
                action,
                context,
                reasoning=reasoning,
                expires_in=expires_in,
                idempotency_key=idempotency_key,
            )
        )

    def log(
        self,
        agent_id: str,
        action: str,
        status: str,
        context: Mapping[str, Any] | None = None,
        ip_address: str | None = None,
        *,
        approval_id: str | None = None,
        decision_id: str | None = None,
    ) -> LogResult:
        """Record what came of an action.

        status: success, failed, denied, blocked, pending or pending_approval. With `approval_id` or `decision_id` the
        entry is shown beside the decision it is the outcome of.
        """
        return self._run(
            self._core.log(
                agent_id, action, status, context, ip_address, approval_id=approval_id, decision_id=decision_id
            )
        )

    def execute(
        self,
        agent_id: str,
        action: str,
        callback: Callable[..., Any],
        context: Mapping[str, Any] | None = None,
        *,
        wait: bool = False,
        wait_timeout: float | None = None,
        reasoning: str | None = None,
        expires_in: int | None = None,
    ) -> Any:
        """Check, call `callback`, log what came of it, and return its value.

        A callback with a parameter that has no default is given the context that was approved (a dict), so that an
        approver's changes reach it; one without is called bare, and refused when there are changes.
        With `wait`, a request that needs a person is waited for (`wait_timeout` seconds; None: until it is decided or
        expires), claimed once, and carried out.

        Raises ApprovalRequiredError when a person has to decide first (or has not, in time), PermissionDeniedError
        when the answer was no. What the callback raises is logged as `failed` and raised again. A log that cannot be
        written hides neither its value nor its exception: it is kept and sent later.
        """
        if inspect.iscoroutinefunction(callback):
            raise ValidationError("callback is an async function: use AsyncAgentWarden")
        return self._run(
            execute(
                self._core,
                agent_id,
                action,
                callback,
                context,
                wait=wait,
                wait_timeout=wait_timeout,
                reasoning=reasoning,
                expires_in=expires_in,
            )
        )

    def batch(
        self,
        agent_id: str,
        action: str,
        items: Iterable[Item],
        run: Callable[[Item], Value],
        context: Mapping[str, Any] | None = None,
        *,
        wait: bool = False,
        wait_timeout: float | None = None,
        reasoning: str | None = None,
        expires_in: int | None = None,
    ) -> BatchResult[Item, Value]:
        """Check once for all `items`, call `run` with each, log once: `execute` for many of the same.

        context: what the decision depends on beside `count`, the number of items, which is added.

        Every item is tried. Where some fail, the batch is logged as `failed` and BatchError is raised, whose `result`
        says which. A batch that an approver changed is refused, as it is the items that were asked for.
        """
        if inspect.iscoroutinefunction(run):
            raise ValidationError("run is an async function: use AsyncAgentWarden")
        batch: Batch[Item, Value] = Batch(action, items, context)
        result: BatchResult[Item, Value] = self.execute(
            agent_id,
            action,
            batch.blocking(run),
            batch.context,
            wait=wait,
            wait_timeout=wait_timeout,
            reasoning=reasoning,
            expires_in=expires_in,
        )
        return result

    def protect(
        self,
        action: str,
        *,
        agent_id: str,
        context: ContextSource = None,
        wait: bool = False,
        wait_timeout: float | None = None,
        reasoning: str | None = None,
        expires_in: int | None = None,
    ) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Decorator: each call of the function goes through `execute`.

        context: a mapping; a function of the same arguments that returns one; or, left out, the arguments themselves
            by name (`self` and `cls` apart). Only in the last case are an approver's changes put into the call;
            otherwise a request approved with changes is refused.
        """

        def decorate(function: Callable[P, T]) -> Callable[P, T]:
            if inspect.iscoroutinefunction(function):
                raise ValidationError("protect was given an async function: use AsyncAgentWarden")
            protected = Protected(function, context)

            @functools.wraps(function)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
                told, callback = protected.plan(args, kwargs)
                value: T = self.execute(
                    agent_id,
                    action,
                    callback,
                    told,
                    wait=wait,
                    wait_timeout=wait_timeout,
                    reasoning=reasoning,
                    expires_in=expires_in,
                )
                return value

            return guarded

        return decorate

    def get_approval(self, approval_id: str) -> Approval:
        """The approval as it stands."""
        return self._run(self._core.get_approval(approval_id))

    def wait_for_approval(self, approval_id: str, *, timeout: float | None = None) -> Approval:
        """Wait until somebody decides, or the request expires or is cancelled.

        timeout: seconds; None waits as long as it takes. When they are over, the approval is returned as it stands,
        still `pending`. A server that restarts meanwhile is waited for, five minutes at most, then the error is raised.
        """
        return self._run(self._core.wait_for_approval(approval_id, timeout=timeout))

    def claim(self, approval_id: str, idempotency_key: str | None = None, *, audience: str | None = None) -> Claim:
        """Take an approval, once, before acting on it; the claim says what exactly was approved.

        `audience` names whom its receipt is for, as they call themselves to `verify_receipt`.

        Raises APIError (status 409) with `code` already_claimed, not_approved, approval_expired or policy_changed:
        then do not act. Keep the `idempotency_key` to ask again after a crash: the same key gets the same claim.
        """
        return self._run(self._core.claim(approval_id, idempotency_key, audience))

    def cancel(self, approval_id: str) -> Approval:
        """Give up: nobody is asked any more.

        Raises APIError (status 409, `code` already_decided) when it is too late for that.
        """
        return self._run(self._core.cancel(approval_id))

    def comment(
        self,
        approval_id: str,
        text: str,
        *,
        attachment: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Comment:
        """Say something to the people who decide, while it is pending; they see it as unverified.

        attachment: {"name": …, "text": …}, a text file of up to 64 KB. What they ask is in `Approval.comments`.
        Raises APIError (status 409) with `code` already_decided or too_many_comments.
        """
        return self._run(self._core.comment(approval_id, text, attachment, idempotency_key))

    def whoami(self) -> Identity:
        """Whose key this is: its organization, agent, mode and environment. Nothing is recorded."""
        return self._run(self._core.whoami())

    def _run(self, steps: Steps[T]) -> T:
        return _drive(self._wire, steps)


def _end(core: Core, wire: Wire) -> None:
    try:
        _drive(wire, core.close())
    finally:
        wire.close()


def _drive(wire: Wire, steps: Steps[T]) -> T:
    """Perform the effects of one operation."""
    outcome: Any = None
    failure: BaseException | None = None
    while True:
        try:
            effect = steps.send(outcome) if failure is None else steps.throw(failure)
        except StopIteration as done:
            value: T = done.value
            return value
        finally:
            failure = None  # else the frame and the traceback would keep each other alive
        try:
            outcome = _perform(wire, effect)
        except BaseException as error:
            outcome, failure = None, error


def _perform(wire: Wire, effect: Effect) -> Any:
    if isinstance(effect, Send):
        return wire.send(effect.request, effect.timeout)
    if isinstance(effect, Call):
        value = effect.function()
        if inspect.iscoroutine(value):
            value.close()
            raise ValidationError("callback returned a coroutine: use AsyncAgentWarden")
        return value
    return time.sleep(effect.seconds)
