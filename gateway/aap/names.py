"""What a tool is called here: one action for one name, and never one for two."""

import re

from agents import policy
from gateway.parse import Malformed

ALONE = "tool"  # where a tool without a server goes
_KNOWN = re.compile(r"[A-Za-z0-9_.-]+")
_CAPITAL = re.compile(r"[A-Z]")


def action_of(tool: str, server: str | None) -> str:
    """`server.tool`; `tool.name` for a name without a server and a dot. Raises Malformed where that is no action.

    A capital becomes `--` and the small letter; one that begins a part is marked at its end instead: `Bash` is `bash--`
    and `getUser` is `get--user`. Names that hold `--` themselves are refused, so that nothing is called the same.
    """
    for field, name in (("tool", tool), ("server", server)):
        if name is not None and (not _KNOWN.fullmatch(name) or "--" in name):
            raise Malformed(
                f"{field}: letters, digits, '_', '.' and single '-' make the name of an action; nothing else"
            )
    if server is not None and "." in server:
        raise Malformed("server: a dot would make it the name of another server's tool")
    if server == ALONE or (server is None and tool.startswith(f"{ALONE}.")):
        raise Malformed(f"server: {ALONE} is where tools without a server go")
    whole = f"{server}.{tool}" if server is not None else tool if "." in tool else f"{ALONE}.{tool}"
    action = ".".join(map(_part, whole.split(".")))
    if not policy.is_action(action):
        raise Malformed(f"tool: it makes '{action[:80]}', and an action has two to six parts, 200 characters at most")
    return action


def _part(text: str) -> str:
    marked = _CAPITAL.sub(lambda found: f"--{found[0].lower()}", text)
    return f"{marked[2:]}--" if marked.startswith("--") else marked
