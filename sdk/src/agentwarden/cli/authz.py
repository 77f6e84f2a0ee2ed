"""agentwarden authz check: what an OPA client would be answered, for a pipeline that must stop at a no."""

from __future__ import annotations

import argparse
from typing import Any

from .._errors import APIError
from .._json import decode, encode
from .._requests import Request
from ._configuration import configuration
from ._exits import Exit
from ._options import common, context_of
from ._output import Output

PATH = "/v1/data/agentweave/authz"


def configure(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    words = "ask whether one agent may do something to another; exits with 0 on an allow alone"
    check = verbs.add_parser("check", help=words, description=f"{words.capitalize()}.")
    check.add_argument("--caller", required=True, metavar="SPIFFE_ID", help="the agent that would act")
    check.add_argument("--callee", metavar="SPIFFE_ID", help="whom it would act upon")
    check.add_argument("--action", required=True, metavar="ACTION", help="such as query or stripe.refund")
    check.add_argument("--context", metavar="JSON", help="what it depends on; @FILE reads it from there, - from stdin")
    common(check, agent=False)
    check.set_defaults(fields=())


def run(options: argparse.Namespace, output: Output) -> Exit:
    context = context_of(options)
    asked: dict[str, Any] = {"caller_spiffe_id": options.caller, "action": options.action}
    asked |= {"callee_spiffe_id": options.callee} if options.callee else {}
    asked |= {"context": context} if context is not None else {}
    request = Request("POST", PATH, encode({"input": asked}).encode(), action=options.action)
    with configuration(options).client() as guard:
        answer = decode(guard._run(guard._core.exchange(request)).body)
    result = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(result, dict) or not isinstance(result.get("allow"), bool):
        raise APIError("The answer is not that of a policy: it says neither allow nor deny")
    output.say(_words(result), answer)
    if result["allow"]:
        return Exit.OK
    return Exit.WAITING if result.get("requires_approval") is True else Exit.DENIED


def _words(result: dict[str, Any]) -> str:
    if result["allow"]:
        return f"allowed  {result.get('reason') or ''}".rstrip()
    if result.get("requires_approval") is True:
        return f"waiting  {result.get('approval_id') or ''}  {result.get('reason') or ''}".rstrip()
    return f"denied  {result.get('reason') or ''}".rstrip()
