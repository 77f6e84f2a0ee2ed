"""What a client may write to the proxy that no SDK would: nothing of it reaches the server as a call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from scripted_warden import ALLOWED, Reply, ScriptedWarden

from agentwarden.cli._exits import Trouble
from agentwarden.cli.mcp_proxy import name_of

LISTENER = "import sys; out = open(sys.argv[1], 'w')\nfor line in sys.stdin: out.write(line); out.flush()"
CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay", "arguments": {}}}
LAST = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def heard(folder: Path, url: str, *lines: str) -> tuple[list[Any], list[Any]]:
    """What the server got, and what the client was answered, when these lines are written to the proxy."""
    file = folder / "heard"
    command = [sys.executable, "-m", "agentwarden", "mcp-proxy", "--name", "bank", "--agent", "bot", "--timeout", "0.5"]
    done = subprocess.run(
        [*command, "--", sys.executable, "-c", LISTENER, str(file)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AGENTWARDEN_BASE_URL": url,
            "AGENTWARDEN_API_KEY": KEY,
        },
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(each) for each in file.read_text().splitlines()], list(map(json.loads, done.stdout.splitlines()))


ODD = [
    {**CALL, "id": None},
    {name: value for name, value in CALL.items() if name != "id"},
    [CALL],
    {**CALL, "jsonrpc": "1.0"},
    {**CALL, "params": [1]},
    {**CALL, "method": None},
    {**CALL, "result": {}, "method": 7},
]


def test_a_call_in_an_odd_form_is_handed_on_in_none(tmp_path: Path, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    lines = [*map(json.dumps, ODD), "garbage", json.dumps(CALL)[:-4], '{"jsonrpc": "2.0", "method": "tools/call"}']
    got, _ = heard(tmp_path, warden.url, *lines, json.dumps(LAST))
    assert [each for each in got if each.get("method") == "tools/call"] == []
    assert got[-1] == LAST


def test_the_end_of_the_server_is_the_end_of_the_proxy(tmp_path: Path, warden: ScriptedWarden) -> None:
    """The client still holds its end open: it is to learn of it."""
    command = [sys.executable, "-m", "agentwarden", "mcp-proxy", "--name", "bank", "--agent", "bot", "--"]
    settings = {"AGENTWARDEN_BASE_URL": warden.url, "AGENTWARDEN_API_KEY": KEY}
    proxy = subprocess.Popen(
        [*command, sys.executable, "-c", "pass"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with proxy:
        assert proxy.wait(30) == 1
        assert proxy.stdout
        assert proxy.stdout.read() == b""


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["uvx", "mcp-server-git", "--repository", "."], "git"),
        (["npx", "-y", "@modelcontextprotocol/server-github@1.2.3"], "github"),
        (["node", "/opt/tools/tickets-mcp.js"], "tickets"),
        (["env", "python3.13", "-m", "mcp_server_time"], "time"),
    ],
)
def test_a_server_is_called_by_its_program(command: list[str], name: str) -> None:
    assert name_of(command) == name


@pytest.mark.parametrize("command", [["npx", "-y"], ["python", "-m"], ["uvx", "mcp-server-"]])
def test_a_server_that_cannot_be_named_has_to_be(command: list[str]) -> None:
    with pytest.raises(Trouble, match="--name"):
        name_of(command)
