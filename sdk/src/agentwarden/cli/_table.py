"""The one table of subcommands, and the parser made of it."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any, NamedTuple

from .._version import __version__
from ._exits import EXITS


class Command(NamedTuple):
    """Where a subcommand lives and what it is for, in one line."""

    module: str
    help: str


COMMANDS = {
    "login": Command("login", "keep a key or an access token for next time"),
    "check": Command("check", "ask whether an action may be done now"),
    "ask": Command("ask", "ask, wait for a person, and take the approval"),
    "log": Command("log", "record what came of an action"),
    "whoami": Command("whoami", "say whose key or token this is"),
    "approvals": Command("approvals", "list, show and watch what waits for people"),
    "hook": Command("hook", "decide on the tool calls of Claude Code"),
    "mcp-proxy": Command("mcp_proxy", "put an MCP server behind Warden"),
    "mcp-server": Command("mcp_server", "serve the MCP tool request_approval"),
    "authz": Command("authz", "ask as a client of an OPA would, by SPIFFE IDs"),
    "policy": Command("policy", "plan, test and apply the policy as files"),
    "validate": Command("validate", "read configuration files and say what is wrong with them"),
    "completion": Command("completion", "print what bash, zsh or fish completes"),
}


def load(name: str) -> Any:
    """The module of a subcommand."""
    return import_module(f".{COMMANDS[name].module}", __package__)


def parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser of everything, with the arguments of the `chosen` subcommand (None: of each)."""
    top = argparse.ArgumentParser(
        prog="agentwarden",
        description="Ask Warden before an agent acts.",
        epilog="Exit codes: " + "; ".join(f"{code.value} {words}" for code, words in EXITS.items()) + ".",
    )
    top.add_argument("--version", action="version", version=f"agentwarden {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.help, description=f"{command.help[0].upper()}{command.help[1:]}.")
        if chosen in (None, name):
            load(name).configure(sub)
    return top
