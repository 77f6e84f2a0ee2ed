"""agentwarden log: what came of it."""

from __future__ import annotations

import argparse

from .._requests import LOG_STATUSES
from ._configuration import configuration
from ._exits import Exit
from ._options import common, context_arguments, context_of
from ._output import Output


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", metavar="ACTION", help="such as stripe.refund")
    parser.add_argument("status", choices=LOG_STATUSES, metavar="STATUS", help=", ".join(LOG_STATUSES))
    context_arguments(parser)
    parser.add_argument("--approval", metavar="ID", help="the approval this is the outcome of: apr_…")
    parser.add_argument("--decision", metavar="ID", help="the decision this is the outcome of: dec_…")
    common(parser)


def run(options: argparse.Namespace, output: Output) -> Exit:
    context = context_of(options)
    told = configuration(options)
    with told.client() as guard:
        entry = guard.log(
            told.agent_of(guard),
            options.action,
            options.status,
            context,
            approval_id=options.approval,
            decision_id=options.decision,
        )
    output.say(f"logged  {entry.id}", entry)
    return Exit.OK
