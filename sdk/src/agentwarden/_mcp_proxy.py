"""A stdio proxy for MCP: what is no `tools/call` passes as it is; each of those is decided first.

It works on messages, not on sessions, so that whatever the protocol is or becomes passes through: lists, resources,
prompts, sampling, progress, cancellation. The transports are those of the official SDK.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint_if_cancelled
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from ._async_client import AsyncAgentWarden
from ._errors import AgentWardenError
from ._models import CheckResult
from ._tool_names import action_of

PROGRESS_EVERY = 5.0  # seconds; clients give up after a minute or so without a sign of life
CANCEL_PATIENCE = 5.0  # seconds
LAST_WORDS = 0.2  # seconds for the writer to have written
CALL = "tools/call"
CANCELLED = "notifications/cancelled"

RequestId = str | int


def serve(guard: AsyncAgentWarden, agent: str, name: str, command: list[str], *, wait: float | None) -> int:
    """Run until the client hangs up or the server ends; 0."""
    anyio.run(_serve, guard, agent, name, command, wait)
    return 0


async def _serve(guard: AsyncAgentWarden, agent: str, name: str, command: list[str], wait: float | None) -> None:
    # The tools' server gets this process's environment, but not the key that asks for it.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AGENTWARDEN_")}
    parameters = StdioServerParameters(command=command[0], args=command[1:], env=environment)
    server_ended = False
    async with guard, stdio_server() as (from_client, to_client):
        async with (
            stdio_client(parameters) as (from_server, to_server),
            anyio.create_task_group() as logs,  # what was done is reported, whoever has gone
            anyio.create_task_group() as tasks,
        ):
            proxy = Proxy(guard, agent, name, wait, to_client, to_server, tasks, logs)
            tasks.start_soon(proxy.client_side, from_client)
            await proxy.server_side(from_server)
            server_ended = True
            tasks.cancel_scope.cancel()
        await to_client.aclose()  # the writer ends with its stream
        if server_ended:
            await guard.close()
            await anyio.sleep(LAST_WORDS)
            os._exit(1)  # a thread reads stdin, which nothing but the client can end; and the client is to see the end


class Proxy:
    """Two streams of messages, and the calls that are being decided between them."""

    def __init__(
        self,
        guard: AsyncAgentWarden,
        agent: str,
        name: str,
        wait: float | None,
        to_client: Any,
        to_server: Any,
        tasks: TaskGroup,
        logs: TaskGroup,
    ) -> None:
        self._guard = guard
        self._agent = agent
        self._name = name
        self._wait = wait
        self._to_client = to_client
        self._to_server = to_server
        self._tasks = tasks
        self._logs = logs
        self._deciding: dict[RequestId, anyio.CancelScope] = {}
        self._running: dict[RequestId, tuple[str, Mapping[str, Any], CheckResult]] = {}

    # -- the two directions --------------------------------------------------------------------------------------

    async def client_side(self, messages: Any) -> None:
        """From the client to the server; when it hangs up, everything ends. What cannot be read goes nowhere."""
        async for message in messages:
            if isinstance(message, Exception):
                continue
            told = message.message
            if isinstance(told, JSONRPCRequest) and told.method == CALL:
                if told.id in self._deciding or told.id in self._running:
                    await self._refuse(told.id, "A call with this id is under way")
                    continue
                scope = self._deciding[told.id] = anyio.CancelScope()
                self._tasks.start_soon(self._decide, told, scope)
            elif isinstance(told, JSONRPCNotification) and (
                told.method == CALL  # a call that wants no answer is none, and must not be taken for one
                or (told.method == CANCELLED and self._cancelled(told))  # the server never heard of that call
            ):
                continue
            else:
                await self._to_server.send(message)
        self._tasks.cancel_scope.cancel()

    async def server_side(self, messages: Any) -> None:
        """From the server to the client; an answer to a call is logged as its outcome."""
        async for message in messages:
            if isinstance(message, Exception):
                continue
            told = message.message
            await self._to_client.send(message)
            if isinstance(told, JSONRPCResponse | JSONRPCError) and told.id in self._running:
                self._log(told.id, _failure(told))

    def _cancelled(self, told: JSONRPCNotification) -> bool:
        """Whether this ends a call that the server has not heard of; one that it runs may or may not have been done."""
        request_id = (told.params or {}).get("requestId", "")
        scope = self._deciding.get(request_id)
        if scope is None:
            if request_id in self._running:
                self._log(request_id, {"type": "Cancelled"})
            return False
        scope.cancel()
        return True

    # -- one call ------------------------------------------------------------------------------------------------

    async def _decide(self, request: JSONRPCRequest, scope: anyio.CancelScope) -> None:
        """Ask Warden; then hand the call on, with what was approved, or answer it with an error the model can read."""
        with scope:
            try:
                await self._ask(request)
            except AgentWardenError as error:
                await self._refuse(request.id, f"Warden did not allow this call: {error}")
            except Exception as error:  # whatever it is: no call goes on undecided, and none is left without an answer
                await self._refuse(request.id, f"Warden could not be asked: {type(error).__name__}")
            finally:
                self._deciding.pop(request.id, None)

    async def _ask(self, request: JSONRPCRequest) -> None:
        params = request.params or {}
        tool, arguments = params.get("name"), params.get("arguments")
        if not isinstance(tool, str) or not isinstance(arguments, dict | None):
            return await self._refuse(request.id, "A call has a name, and arguments that are an object")
        action = action_of("mcp", self._name, tool)
        with anyio.CancelScope(shield=True):  # a request that Warden has made by then is given up below
            result = await self._guard.check(self._agent, action, arguments)
        effective = result.effective_context
        if result.requires_approval or result.approved_otherwise:
            taken = await self._after_approval(request, result)
            if isinstance(taken, str):
                return await self._refuse(request.id, taken)
            effective = taken
        elif not result.allowed:
            return await self._refuse(request.id, f"Warden denied this call: {result.reason or 'no reason was given'}")
        approved = dict(arguments or {}) if effective is None else dict(effective)
        if arguments is not None or approved:
            request.params = {**params, "arguments": approved}
        await checkpoint_if_cancelled()
        self._running[request.id] = (action, approved, result)
        del self._deciding[request.id]  # from here on a cancellation is the server's to hear
        await self._to_server.send(SessionMessage(request))
        return None

    async def _after_approval(self, request: JSONRPCRequest, result: CheckResult) -> Mapping[str, Any] | str | None:
        """The context that was approved and is claimed; or, as a text, why there is none."""
        approval_id = result.approval_id or ""
        try:
            async with anyio.create_task_group() as signs:
                signs.start_soon(self._show_progress, request, result)
                approval = await self._guard.wait_for_approval(approval_id, timeout=self._wait)
                signs.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(CANCEL_PATIENCE, shield=True):
                await self._give_up(approval_id)
            raise
        if approval.pending:
            return f"Nobody has decided yet ({result.approval_url or approval_id}). Repeat the call to go on waiting."
        if not approval.approved:
            by = f" by {approval.decided_by}" if approval.decided_by else ""
            return f"This call was {approval.status}{by}: {approval.reason or 'no reason was given'}"
        return (await self._guard.claim(approval_id)).effective_context

    async def _give_up(self, approval_id: str) -> None:
        try:
            await self._guard.cancel(approval_id)
        except AgentWardenError:
            return  # decided meanwhile, or out of reach: nobody claims it, and it expires

    async def _show_progress(self, request: JSONRPCRequest, result: CheckResult) -> None:
        meta = (request.params or {}).get("_meta")
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        if token is None:
            return
        words = f"Waiting for a person to decide: {result.approval_url or result.approval_id}"
        seconds = 0.0
        while True:
            params = {"progressToken": token, "progress": seconds, "message": words}
            told = JSONRPCNotification(jsonrpc="2.0", method="notifications/progress", params=params)
            await self._to_client.send(SessionMessage(told))
            await anyio.sleep(PROGRESS_EVERY)
            seconds += PROGRESS_EVERY

    async def _refuse(self, request_id: RequestId, reason: str) -> None:
        content = [{"type": "text", "text": f"{reason}. The tool was not called."}]
        # Protocols from 2026-07-28 on want a `resultType`; the older ones let results have fields of their own.
        result = {"resultType": "complete", "content": content, "isError": True}
        await self._to_client.send(SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=request_id, result=result)))

    def _log(self, request_id: RequestId, failure: dict[str, Any] | None) -> None:
        """Report the outcome; that never fails, and is kept for later where Warden is out of reach."""
        action, approved, result = self._running.pop(request_id)
        steps = self._guard._core.report(
            self._agent,
            action,
            "failed" if failure else "success",
            {**approved, "error": failure} if failure else approved,
            approval_id=result.approval_id,
            decision_id=result.decision_id,
        )
        self._logs.start_soon(self._guard._run, steps)


def _failure(told: JSONRPCResponse | JSONRPCError) -> dict[str, Any] | None:
    if isinstance(told, JSONRPCError):
        return {"type": "JSONRPCError", "code": told.error.code, "message": told.error.message[:2000]}
    return {"type": "ToolError"} if told.result.get("isError") is True else None


__all__ = ["Proxy", "serve"]
