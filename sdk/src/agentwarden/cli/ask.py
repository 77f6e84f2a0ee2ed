"""agentwarden ask: ask, wait for a person, and take the approval. Exit code 0 means: go ahead, now, once."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from .._client import AgentWarden
from .._errors import AgentWardenError, APIError
from .._models import Approval, CheckResult, Claim
from ._changes import refuse_changes
from ._configuration import configuration
from ._exits import Exit, Trouble
from ._options import common, context_arguments, context_of
from ._output import Output
from ._spinner import spinning
from .check import exit_of, words

ENDS = {"approved": Exit.OK, "denied": Exit.DENIED, "expired": Exit.ENDED, "cancelled": Exit.ENDED}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", metavar="ACTION", help="such as deploy.production")
    context_arguments(parser)
    parser.add_argument("--reasoning", metavar="TEXT", help="why, for the person who decides")
    parser.add_argument(
        "--wait", type=float, metavar="SECONDS", help="give up waiting after so long; by default wait to the end"
    )
    parser.add_argument("--expires-in", type=int, metavar="SECONDS", help="after so long the request itself is moot")
    parser.add_argument(
        "--accept-changes", action="store_true", help="go ahead with what the approver changed; read it with --json"
    )
    common(parser)


def run(options: argparse.Namespace, output: Output) -> Exit:
    context = context_of(options)
    if options.wait is not None and not options.wait >= 0:
        raise Trouble("--wait is a number of seconds, at least 0")
    told = configuration(options)
    with told.client() as guard:
        result = guard.check(
            told.agent_of(guard),
            options.action,
            context,
            reasoning=options.reasoning,
            expires_in=options.expires_in,
        )
        if not (result.requires_approval or result.approved_otherwise):
            if result and not options.accept_changes:
                refuse_changes(context, result.effective_context)
            output.say(words(result), {**_empty(result), "status": "allowed" if result else "denied"})
            return exit_of(result)
        approval_id = result.approval_id or ""
        if result.requires_approval:
            output.note(f"{approval_id} waits for a person: {result.approval_url or 'see the inbox'}")
        approval = _wait(guard, approval_id, options, output)
        if approval.pending:
            output.note("Nobody has decided yet. The request stays: run the same command to go on waiting.")
        claim = None
        if approval.approved:
            if not options.accept_changes:
                refuse_changes(context, approval.effective_context)
            claim = _claim(guard, approval_id)
    _tell(output, result, approval, claim)
    return ENDS.get(approval.status, Exit.WAITING)


def _wait(guard: AgentWarden, approval_id: str, options: argparse.Namespace, output: Output) -> Approval:
    try:
        with spinning("waiting for a decision", on=not output.as_json):
            return guard.wait_for_approval(approval_id, timeout=options.wait)
    except KeyboardInterrupt:
        output.note("Gave up: the request is cancelled.")
        with contextlib.suppress(AgentWardenError):  # it expires by itself
            guard.cancel(approval_id)
        raise


def _claim(guard: AgentWarden, approval_id: str) -> Claim:
    try:
        return guard.claim(approval_id)
    except APIError as error:
        if error.status_code != 409:
            raise
        raise Trouble(f"{approval_id} was approved, but cannot be used: {error}", Exit.ENDED) from error


def _empty(result: CheckResult) -> dict[str, Any]:
    return {
        "approval_id": result.approval_id,
        "approval_url": result.approval_url,
        "decision_id": result.decision_id,
        "reason": result.reason,
        "decided_by": None,
        "effective_context": result.effective_context,
    }


def _tell(output: Output, result: CheckResult, approval: Approval, claim: Claim | None) -> None:
    by = f" by {approval.decided_by}" if approval.decided_by else ""
    reason = f": {approval.reason}" if approval.reason else ""
    value = _empty(result) | {
        "status": approval.status,
        "reason": approval.reason,
        "decided_by": approval.decided_by,
        "effective_context": claim.effective_context if claim else None,
    }
    output.say(f"{approval.status}{by}{reason}\n{approval.id}", value)
