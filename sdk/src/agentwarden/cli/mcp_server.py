"""agentwarden mcp-server: the tool request_approval, for agents that ask by themselves."""

from __future__ import annotations

import argparse
from importlib import import_module

from .._async_client import AsyncAgentWarden
from ._configuration import configuration
from ._exits import Exit, Trouble
from ._extras import needs
from ._options import common
from ._output import Output


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait",
        type=float,
        default=None,
        metavar="SECONDS",
        help="for a person to decide (default: as long as it takes)",
    )
    common(parser)


def run(options: argparse.Namespace, output: Output) -> Exit:
    if options.wait is not None and not options.wait >= 0:
        raise Trouble("--wait is a number of seconds, at least 0")
    needs("mcp")
    told = configuration(options)
    with told.client() as guard:
        agent = told.agent_of(guard)
    asynchronous = AsyncAgentWarden(told.key, told.base_url, told.timeout)
    import_module("agentwarden._mcp_server").server(asynchronous, agent, wait=options.wait).run("stdio")
    return Exit.OK
