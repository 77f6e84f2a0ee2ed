"""agentwarden mcp-proxy: puts an MCP server behind Warden."""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from pathlib import PurePosixPath

from .._async_client import AsyncAgentWarden
from .._tool_names import action_of
from ._configuration import configuration
from ._exits import Exit, Trouble
from ._extras import needs
from ._options import common
from ._output import Output

LAUNCHERS = re.compile(r"(uvx|npx|bunx|pnpm|dlx|pipx|uv|tool|run|exec|node|deno|bun|python[0-9.]*|docker|podman|env)$")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = "agentwarden mcp-proxy [options] -- COMMAND [ARGUMENT ...]"
    parser.add_argument("--name", metavar="NAME", help="the server's name in actions; else read from COMMAND")
    parser.add_argument(
        "--wait",
        type=float,
        default=None,
        metavar="SECONDS",
        help="for a person to decide (default: as long as it takes)",
    )
    parser.add_argument("server", nargs=argparse.REMAINDER, metavar="COMMAND", help="starts the MCP server, on stdio")
    common(parser)


def run(options: argparse.Namespace, output: Output) -> Exit:
    command = options.server[1:] if options.server[:1] == ["--"] else options.server
    if not command:
        raise Trouble("Which server? agentwarden mcp-proxy -- COMMAND")
    if options.wait is not None and not options.wait >= 0:
        raise Trouble("--wait is a number of seconds, at least 0")
    name = options.name or name_of(command)
    action_of("mcp", name, "x")
    needs("mcp")
    told = configuration(options)
    with told.client() as guard:
        agent = told.agent_of(guard)
    output.note(f"agentwarden: {agent} asks for mcp.{name.lower()}.*")
    proxy = import_module("agentwarden._mcp_proxy")
    return Exit(
        proxy.serve(AsyncAgentWarden(told.key, told.base_url, told.timeout), agent, name, command, wait=options.wait)
    )


def name_of(command: list[str]) -> str:
    """`uvx mcp-server-git`, `npx -y @modelcontextprotocol/server-git` and `python git.py` are all git."""
    words = [word for word in command if not word.startswith("-")]
    program = next((word for word in words if not LAUNCHERS.fullmatch(PurePosixPath(word).name)), "")
    name = re.sub(r"(?<=.)@.*$|\.(py|js|mjs|cjs|ts|exe)$", "", PurePosixPath(program).name)
    name = re.sub(r"^(mcp[-_])?(server[-_])|^mcp[-_]|([-_]mcp)?([-_]server)$|[-_]mcp$", "", name, flags=re.IGNORECASE)
    if not name:
        raise Trouble(f"What is {' '.join(command)!r} called? Say it with --name")
    return name
