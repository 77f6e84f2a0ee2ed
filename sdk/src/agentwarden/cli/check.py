"""agentwarden check: may this be done now?"""

from __future__ import annotations

import argparse

from .._models import CheckResult
from ._changes import refuse_changes
from ._configuration import configuration
from ._exits import Exit
from ._options import common, context_arguments, context_of
from ._output import Output


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", metavar="ACTION", help="such as stripe.refund")
    context_arguments(parser)
    parser.add_argument("--reasoning", metavar="TEXT", help="why, for the person who decides")
    parser.add_argument("--idempotency-key", metavar="KEY", help="the same key always gets the same answer")
    common(parser)


def run(options: argparse.Namespace, output: Output) -> Exit:
    context = context_of(options)
    told = configuration(options)
    with told.client() as guard:
        result = guard.check(
            told.agent_of(guard),
            options.action,
            context,
            reasoning=options.reasoning,
            idempotency_key=options.idempotency_key,
        )
    if result:
        refuse_changes(context, result.effective_context)
    output.say(words(result), result)
    return exit_of(result)


def words(result: CheckResult) -> str:
    """The answer in a line or two."""
    if result.requires_approval:
        return f"waiting  {result.approval_id}  {result.reason or ''}\n{result.approval_url or ''}".rstrip()
    return f"{'allowed' if result else 'denied'}  {result.reason or ''}".rstrip()


def exit_of(result: CheckResult) -> Exit:
    if result:
        return Exit.OK
    return Exit.WAITING if result.requires_approval else Exit.DENIED
