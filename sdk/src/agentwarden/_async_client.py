"""The client for asyncio: the same operations, awaited."""

from __future__ import annotations

import asyncio
import functools
import inspect
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ._batch import Batch, BatchResult, Item, Value
from ._config import settings
from ._core import Call, Core, Effect, Send, Steps
from ._execute import execute
from ._models import Approval, CheckResult, Claim, Comment, Identity, LogResult
from ._observe import Observer
from ._protect import ContextSource, Protected

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    import httpx

T = TypeVar("T")
P = ParamSpec("P")


class AsyncAgentWarden:
    """`AgentWarden` for asyncio, with the same settings and methods. Share it between the tasks of one event loop.

    Callbacks and protected functions may be async or not. Close it with `await guard.close()`, or use `async with`.
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
        transport: httpx.AsyncBaseTransport | None = None,
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
        from ._http_async import AsyncWire  # loads httpx: not before somebody needs it

        self._core = Core(self._settings, observers)
        self._wire = AsyncWire(self._settings, ssl_context=ssl_context, transport=transport)
        self._end = weakref.finalize(self, _told, self._core)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._settings.base_url!r})"

    async def __aenter__(self) -> AsyncAgentWarden:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Try once more, for two seconds, to deliver what could not be reported; then close the connections."""
        if self._wire.closed:
            return
        try:
            await self._run(self._core.close())
        finally:
            self._end.detach()
            await self._wire.close()

    def clear_cache(self) -> None:
        """Forget every remembered answer, for example after permissions were changed."""
        self._core.cache.clear()

    async def check(
        self,
        agent_id: str,
        action: str,
        context: Mapping[str, Any] | None = None,
        *,
        reasoning: str | None = None,
        expires_in: int | None = None,
        idempotency_key: str | None = None,
    ) -> CheckResult:
        """Ask whether the agent may do the action now; see `AgentWarden.check`."""
        return await self._run(
            self._core.check(
                agent_id,
                action,
                context,
                reasoning=reasoning,
                expires_in=expires_in,
                idempotency_key=idempotency_key,
            )
        )

    async def log(
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
        """Record what came of an action; see `AgentWarden.log`."""
        return await self._run(
            self._core.log(
                agent_id, action, status, context, ip_address, approval_id=approval_id, decision_id=decision_id
            )
        )

    async def execute(
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
        """Check, call (and await) `callback`, log, and return its value; see `AgentWarden.execute`."""
        return await self._run(
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

    async def batch(
        self,
        agent_id: str,
        action: str,
        items: Iterable[Item],
        run: Callable[[Item], Awaitable[Value] | Value],
        context: Mapping[str, Any] | None = None,
        *,
        wait: bool = False,
        wait_timeout: float | None = None,
        reasoning: str | None = None,
        expires_in: int | None = None,
    ) -> BatchResult[Item, Value]:
        """Check once, call (and await) `run` with each item, log once; see `AgentWarden.batch`."""
        batch: Batch[Item, Value] = Batch(action, items, context)
        result: BatchResult[Item, Value] = await self.execute(
            agent_id,
            action,
            batch.awaiting(run),
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
    ) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Coroutine[Any, Any, T]]]:
        """Decorator: each call of the function goes through `execute`; see `AgentWarden.protect`."""

        def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
            protected = Protected(function, context)

            @functools.wraps(function)
            async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
                told, callback = protected.plan(args, kwargs)
                value: T = await self.execute(
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

    async def get_approval(self, approval_id: str) -> Approval:
        """The approval as it stands."""
        return await self._run(self._core.get_approval(approval_id))

    async def wait_for_approval(self, approval_id: str, *, timeout: float | None = None) -> Approval:
        """Wait until somebody decides, or the request ends otherwise; see `AgentWarden.wait_for_approval`."""
        return await self._run(self._core.wait_for_approval(approval_id, timeout=timeout))

    async def claim(
        self, approval_id: str, idempotency_key: str | None = None, *, audience: str | None = None
    ) -> Claim:
        """Take an approval, once, before acting on it; see `AgentWarden.claim`."""
        return await self._run(self._core.claim(approval_id, idempotency_key, audience))

    async def cancel(self, approval_id: str) -> Approval:
        """Give up: nobody is asked any more; see `AgentWarden.cancel`."""
        return await self._run(self._core.cancel(approval_id))

    async def comment(
        self,
        approval_id: str,
        text: str,
        *,
        attachment: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Comment:
        """Say something to the people who decide; see `AgentWarden.comment`."""
        return await self._run(self._core.comment(approval_id, text, attachment, idempotency_key))

    async def whoami(self) -> Identity:
        """Whose key this is; see `AgentWarden.whoami`."""
        return await self._run(self._core.whoami())

    async def _run(self, steps: Steps[T]) -> T:
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
                outcome = await self._perform(effect)
            except BaseException as error:
                outcome, failure = None, error

    async def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, Send):
            return await self._wire.send(effect.request, effect.timeout)
        if isinstance(effect, Call):
            value = effect.function()
            return await value if inspect.isawaitable(value) else value
        return await asyncio.sleep(effect.seconds)


def _told(core: Core) -> None:
    """Nobody closed it, and there is no event loop to do it on."""
    core.tell_overdue()
