"""An MCP server with one tool, for agents that ask by themselves: request_approval."""

from __future__ import annotations

from typing import Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from ._async_client import AsyncAgentWarden
from ._errors import AgentWardenError, APIError
from ._models import CheckResult
from ._version import __version__

PROGRESS_EVERY = 5.0  # seconds
INSTRUCTIONS = (
    "Call request_approval before you do anything that changes the world outside this conversation."
    " Act only if `approved` is true, once, and with exactly the values in `context`."
)


def server(guard: AsyncAgentWarden, agent: str, *, wait: float | None) -> MCPServer[Any]:
    """The server; the approvals it gets are for `agent`. wait: seconds for a person to decide."""
    made: MCPServer[Any] = MCPServer("agentwarden", instructions=INSTRUCTIONS, version=__version__)

    async def request_approval(
        action: str, context: dict[str, Any], reason: str, ctx: Context[Any, Any]
    ) -> dict[str, Any]:
        """Ask whether you may do something now; waits where a person has to decide.

        action: what you want to do, as service.resource.operation: stripe.refund, deploy.production.
        context: everything the decision depends on, by name: {"amount": 42.5, "order": "ord_1042"}.
        reason: why, in a sentence, for the person who decides.

        Returns `approved`. Only if it is true, do it: once, now, with exactly the values in `context`, which the person
        may have changed. If it is false, `reason` says why; do not do it, and do not try another way.
        """
        try:
            return await _asked(guard, agent, action, context, reason, ctx, wait)
        except AgentWardenError as error:
            raise ToolError(f"Not approved: {error}. Do not act.") from error

    made.tool()(request_approval)
    return made


async def _asked(
    guard: AsyncAgentWarden,
    agent: str,
    action: str,
    context: dict[str, Any],
    reason: str,
    ctx: Context[Any, Any],
    wait: float | None,
) -> dict[str, Any]:
    result = await guard.check(agent, action, context, reasoning=reason)
    if result.allowed:
        effective = context if result.effective_context is None else dict(result.effective_context)
        return _told("allowed", result.reason, effective, result)
    if not (result.requires_approval or result.approved_otherwise):
        return _told("denied", result.reason, None, result)
    approval_id = result.approval_id or ""
    async with anyio.create_task_group() as signs:
        signs.start_soon(_show_progress, ctx, result)
        approval = await guard.wait_for_approval(approval_id, timeout=wait)
        signs.cancel_scope.cancel()
    if approval.pending:
        return _told("pending", "Nobody has decided yet; ask again to go on waiting", None, result)
    if not approval.approved:
        return _told(approval.status, approval.reason, None, result)
    try:
        claim = await guard.claim(approval_id)
    except APIError as error:
        if error.status_code != 409:
            raise
        return _told(error.code or "refused", str(error.args[0]), None, result)
    effective = context if claim.effective_context is None else dict(claim.effective_context)
    return _told("approved", approval.reason, effective, result)


def _told(status: str, reason: str | None, context: dict[str, Any] | None, result: CheckResult) -> dict[str, Any]:
    """`context` is what may be done with; None: nothing may."""
    found = {"approval_id": result.approval_id, "approval_url": result.approval_url}
    return {"approved": context is not None, "status": status, "reason": reason, "context": context, **found}


async def _show_progress(ctx: Context[Any, Any], result: CheckResult) -> None:
    seconds = 0.0
    while True:
        words = f"Waiting for a person to decide: {result.approval_url or result.approval_id}"
        await ctx.report_progress(seconds, message=words)
        await anyio.sleep(PROGRESS_EVERY)
        seconds += PROGRESS_EVERY
