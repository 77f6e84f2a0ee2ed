"""The PreToolUse hook of Claude Code: one tool call in, one permission decision out.

Claude Code goes ahead when a hook exits with anything but 0 or 2, or takes too long. So nothing here may end in another
way than with an answer, and every doubt is answered with `deny`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ._client import AgentWarden
from ._errors import AgentWardenError, ValidationError
from ._json import MalformedJSON, decode, same
from ._tool_names import claude_action

EVENT = "PreToolUse"
LARGEST_INPUT = 16 * 1024 * 1024  # bytes
ABOUT = "claude_code"  # where the context says what the call is part of
TOLD = ("cwd", "permission_mode", "agent_type")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool call as Claude Code describes it, and the action it is here."""

    action: str
    tool_input: dict[str, Any]
    about: dict[str, Any]

    @property
    def context(self) -> dict[str, Any]:
        """The tool's input, field by field as conditions and limits read it, and where the call comes from."""
        return {**self.tool_input, ABOUT: self.about}


def read_call(raw: bytes) -> ToolCall:
    """The call in a hook's input. Raises ValidationError for every form that is not the documented one."""
    if len(raw) > LARGEST_INPUT:
        raise ValidationError("the input is too large")
    try:
        value = decode(raw)
    except MalformedJSON as error:
        raise ValidationError(f"the input is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValidationError("the input is not an object")
    if value.get("hook_event_name") != EVENT:
        raise ValidationError(f"this is a hook for {EVENT}, not for {value.get('hook_event_name')!r}")
    name, tool_input = value.get("tool_name"), value.get("tool_input")
    if not isinstance(name, str) or not isinstance(tool_input, dict):
        raise ValidationError("tool_name is no text, or tool_input no object")
    if ABOUT in tool_input:
        raise ValidationError(f"tool_input has a field {ABOUT!r}, which is ours")
    about = {"tool": name, **{field: value[field] for field in TOLD if isinstance(value.get(field), str)}}
    return ToolCall(claude_action(name), tool_input, about)


def decide(guard: AgentWarden, agent: Callable[[], str], raw: bytes, *, wait: float, confirm: bool) -> dict[str, Any]:
    """The hook's answer: `allow` only for what Warden allowed now, or a person approved and this call claimed.

    wait: seconds for a person to decide. confirm: what Warden allows, the person at the terminal is asked as well.
    """
    try:
        call = read_call(raw)
        return _decided(guard, agent(), call, wait, "ask" if confirm else "allow")
    except AgentWardenError as error:
        return answer("deny", f"Warden: {error}")


def _decided(guard: AgentWarden, agent: str, call: ToolCall, wait: float, yes: str) -> dict[str, Any]:
    result = guard.check(agent, call.action, call.context)
    if result.allowed:
        return _allowed(call, result.effective_context, result.reason, yes)
    if not (result.requires_approval or result.approved_otherwise):
        return answer("deny", f"Warden: {result.reason or 'denied'}")
    approval = guard.wait_for_approval(result.approval_id or "", timeout=wait)
    if approval.pending:
        return answer("deny", f"Warden: nobody has decided yet ({result.approval_url or approval.id}); try again later")
    if not approval.approved:
        by = f" by {approval.decided_by}" if approval.decided_by else ""
        return answer("deny", f"Warden: {approval.status}{by}: {approval.reason or 'no reason was given'}")
    if not _ours(call, approval.effective_context):  # before the claim: what cannot be done is not used up
        return _elsewhere()
    claim = guard.claim(approval.id)
    return _allowed(call, claim.effective_context, approval.reason, yes)


def _allowed(call: ToolCall, effective: Mapping[str, Any] | None, reason: str | None, yes: str) -> dict[str, Any]:
    """Allow what was approved: with the approver's changes as the tool's new input, where there are some."""
    if not _ours(call, effective):
        return _elsewhere()
    approved = dict(call.tool_input if effective is None else effective)
    approved.pop(ABOUT, None)
    if same(approved, call.tool_input):
        return answer(yes, f"Warden: {reason or 'allowed'}")
    return answer(yes, f"Warden: {reason or 'approved'}, with changes", updatedInput=approved)


def _ours(call: ToolCall, effective: Mapping[str, Any] | None) -> bool:
    """Whether what was approved says of the call what it is part of: that is not this hook's to change."""
    return effective is None or same(effective.get(ABOUT), call.about)


def _elsewhere() -> dict[str, Any]:
    return answer("deny", f"Warden: it was approved with another {ABOUT}, which this hook cannot change")


def answer(decision: str, reason: str, **more: Any) -> dict[str, Any]:
    """The documented form of a PreToolUse decision."""
    told = {"hookEventName": EVENT, "permissionDecision": decision, "permissionDecisionReason": reason}
    return {"hookSpecificOutput": {**told, **more}}
