"""docs/claude-code.md and docs/mcp.md: the settings they show are run as they stand, the names are the code's."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from agentwarden._tool_names import claude_action
from agentwarden.cli.mcp_proxy import name_of
from mcp import Client, StdioServerParameters, stdio_client

from agents.models import Permission
from tests.client.mcp_world import in_database
from tests.docs.pages import blocks, table
from tests.gateway.conftest import World, world

__all__ = ["world"]
BIN = str(Path(sys.executable).parent)


def shown(page: str, label: str) -> Any:
    [text] = [block.text for block in blocks(page, "json") if block.label == label]
    return json.loads(text)


def test_the_names_of_actions() -> None:
    rows = table("docs/claude-code.md", "tool", "action")
    assert [row["action"] for row in rows] == [claude_action(row["tool"]) for row in rows]


def test_the_names_of_servers() -> None:
    rows = table("docs/mcp.md", "command", "name")
    assert [row["name"] for row in rows] == [name_of(shlex.split(row["command"])) for row in rows]


@pytest.mark.django_db(transaction=True)
def test_the_hook_of_the_settings_decides(world: World) -> None:
    [entry] = shown("docs/claude-code.md", "settings")["hooks"]["PreToolUse"]
    [hook] = entry["hooks"]
    assert (hook["onFailure"], hook["timeout"]) == ("block", 600)
    call = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": "npm test"}}
    environment = os.environ | {"AGENTWARDEN_BASE_URL": world.server.url, "AGENTWARDEN_API_KEY": world.key}
    environment["PATH"] = f"{BIN}:{environment['PATH']}"

    def decision() -> str:
        done = subprocess.run(
            hook["command"],
            shell=True,
            env=environment,
            input=json.dumps(call),
            capture_output=True,
            text=True,
            check=True,
        )
        return str(json.loads(done.stdout)["hookSpecificOutput"]["permissionDecision"])

    assert decision() == "deny"
    condition = 'context.command.startsWith("npm ")'
    assert condition in Path("docs/claude-code.md").read_text()
    Permission.objects.create(agent=world.bot, action="claude.bash", effect="allow", condition=condition)
    assert decision() == "allow"
    call["tool_input"] = {"command": "rm -rf /"}
    assert decision() == "deny"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("label", ["proxy", "server"])
async def test_the_configuration_of_a_client_starts_a_server(world: World, label: str) -> None:
    [server] = shown("docs/mcp.md", label)["mcpServers"].values()
    assert server["env"] == {"AGENTWARDEN_BASE_URL": "https://warden.example.com", "AGENTWARDEN_API_KEY": "ak_…"}
    ours = {"AGENTWARDEN_BASE_URL": world.server.url, "AGENTWARDEN_API_KEY": world.key}
    environment = {**ours, "PATH": f"{BIN}:{os.environ['PATH']}", "LOCAL_TIMEZONE": "UTC"}
    parameters = StdioServerParameters(command=server["command"], args=server["args"], env=environment)
    await in_database(
        lambda: Permission.objects.create(agent=world.bot, action="mcp.time.get_current_time", effect="allow")
    )
    async with Client(stdio_client(parameters)) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools == ({"get_current_time", "convert_time"} if label == "proxy" else {"request_approval"})
        if label == "proxy":
            assert not (await client.call_tool("get_current_time", {"timezone": "UTC"})).is_error
