"""What a tool of somebody else's is called here: `claude.bash`, `mcp.git.git_commit`."""

from __future__ import annotations

import re

from ._errors import ValidationError

LONGEST = 200
_PART = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)


def action_of(*names: str) -> str:
    """The action for these names, in lower case and joined by dots; a dot within one makes parts of it.

    Raises ValidationError where that is no action's name: no permission could be meant for it.
    """
    action = ".".join(names).lower()
    parts = action.split(".")
    if (
        not action.isascii()
        or len(action) > LONGEST
        or not 2 <= len(parts) <= 6
        or not all(map(_PART.fullmatch, parts))
    ):
        raise ValidationError(f"{'.'.join(names)[:LONGEST]!r} makes no name of an action")
    return action


def claude_action(tool_name: str) -> str:
    """`Bash` is claude.bash; `mcp__github__create_issue` is mcp.github.create_issue, as for the proxy.

    Raises ValidationError, also where it cannot be told which part of a name is the server's.
    """
    if not tool_name.startswith("mcp__"):
        return action_of("claude", tool_name)
    server, found, tool = tool_name.removeprefix("mcp__").partition("__")
    if not found or not server or not tool or "__" in tool or tool.startswith("_"):
        raise ValidationError(f"{tool_name!r} does not say which server's tool it is: mcp__SERVER__TOOL")
    return action_of("mcp", server, tool)
