"""The command line: what it asks, what it prints, and what its exit codes say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from scripted_warden import ALLOWED, DENIED, PENDING, Reply, ScriptedWarden, closed_port
from shell import Shell

from agentwarden import cli

IDENTITY = {
    "key_id": "key_1",
    "key_name": "ci",
    "organization_id": "org_1",
    "mode": "test",
    "agent_id": "deploy-bot",
    "environment": "production",
    "scopes": ["sdk"],
    "expires_at": None,
}
TOKEN = "wpat_0123456789abcdefghijklmnopqrstuvwxy"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, warden: ScriptedWarden) -> Shell:
    shell = Shell(tmp_path, monkeypatch, capsys)
    shell.environment = {
        "AGENTWARDEN_BASE_URL": warden.url,
        "AGENTWARDEN_API_KEY": KEY,
        "AGENTWARDEN_AGENT": "bot",
    }
    return shell


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (Reply(body=ALLOWED), 0, "allowed"),
        (Reply(body=DENIED), 1, "denied  No permission for action 'x.y'"),
        (Reply(body=PENDING), 3, "waiting  apr_1"),
    ],
)
def test_check_says_the_answer_and_exits_by_it(
    shell: Shell, warden: ScriptedWarden, reply: Reply, code: int, words: str
) -> None:
    warden.script(reply)
    done = shell("check", "x.y", "amount:=42.5", "order=1042", "--reasoning", "lost")
    assert (done.code, done.out.splitlines()[0].startswith(words)) == (code, True)
    assert warden.seen[0].body == {
        "agent_id": "bot",
        "action": "x.y",
        "context": {"amount": 42.5, "order": "1042"},
        "reasoning": "lost",
    }
    assert warden.seen[0].headers["x-api-key"] == KEY


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 409, 413, 422, 429, 500, 503])
def test_whatever_else_happens_check_is_no_yes(shell: Shell, warden: ScriptedWarden, status: int) -> None:
    warden.script(Reply(status, {"detail": "Something"} if status != 200 else {"allowed": "true"}))
    done = shell("check", "x.y", "--timeout", "1")
    assert done.code in {2, 5}
    assert done.out == ""
    assert done.err.startswith("agentwarden: ")
    assert KEY not in done.err


def test_no_server_is_no_yes(shell: Shell) -> None:
    done = shell("check", "x.y", "--timeout", "0.3", AGENTWARDEN_BASE_URL=closed_port())
    assert done.code == 5
    assert "could not be reached" in done.err


def test_programs_get_one_line_of_json(shell: Shell, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=PENDING))
    answer = shell.json("check", "x.y", code=3)
    assert (answer["allowed"], answer["requires_approval"], answer["approval_id"]) == (False, True, "apr_1")
    warden.script(Reply(401, {"detail": "Invalid API key"}))
    assert shell.json("check", "x.y", code=5)["error"] == {
        "message": "Invalid API key [request req-7]",
        "type": "AuthenticationError",
        "exit": 5,
        "code": None,
        "status_code": 401,
        "request_id": "req-7",
    }


def test_the_context_comes_from_an_argument_a_file_or_stdin(
    shell: Shell, warden: ScriptedWarden, tmp_path: Path
) -> None:
    warden.script(Reply(body=ALLOWED))
    file = tmp_path / "context.json"
    file.write_text('{"amount": 1}')
    shell("check", "x.y", "--context", '{"amount": 1}')
    shell("check", "x.y", "--context", f"@{file}", "note=a=b")
    shell("check", "x.y", "--context", "-", stdin='{"amount": 1}')
    assert [seen.body["context"] for seen in warden.seen] == [
        {"amount": 1},
        {"amount": 1, "note": "a=b"},
        {"amount": 1},
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["amount"],
        ["=1"],
        ["amount:=x"],
        ["amount:=NaN"],
        ["a=1", "a=2"],
        ["--context", "[]"],
        ["--context", '{"a": 1, "a": 2}'],
        ["--context", "@/nowhere/at/all"],
        ["--context", '{"a": 1}', "a=2"],
    ],
)
def test_a_context_that_makes_no_sense_is_not_sent(shell: Shell, warden: ScriptedWarden, words: list[str]) -> None:
    done = shell("check", "x.y", *words)
    assert done.code == 2
    assert warden.seen == []


def test_the_agent_is_the_keys_own_unless_one_is_named(shell: Shell, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=IDENTITY), Reply(body=ALLOWED))
    shell.environment.pop("AGENTWARDEN_AGENT")
    assert shell("check", "x.y").code == 0
    assert [(seen.path, (seen.body or {}).get("agent_id")) for seen in warden.seen] == [
        ("/sdk/whoami", None),
        ("/sdk/check", "deploy-bot"),
    ]
    warden.script(Reply(body={**IDENTITY, "agent_id": None}))
    done = shell("check", "x.y")
    assert (done.code, "say which, with --agent" in done.err) == (2, True)


def test_log_names_the_decision_it_is_the_outcome_of(shell: Shell, warden: ScriptedWarden) -> None:
    done = shell("log", "x.y", "success", "refund=re_1", "--approval", "apr_1")
    assert (done.code, done.out) == (0, "logged  log_1\n")
    assert warden.logs[0].body == {
        "agent_id": "bot",
        "action": "x.y",
        "status": "success",
        "context": {"refund": "re_1"},
        "approval_id": "apr_1",
    }


def test_whoami_tells_of_a_key_and_of_a_token(shell: Shell, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=IDENTITY))
    assert "test key 'ci' of agent deploy-bot, environment production" in shell("whoami").out
    assert shell.json("whoami")["key"]["agent_id"] == "deploy-bot"
    shell.environment.pop("AGENTWARDEN_API_KEY")
    told = {"email": "ann@example.com", "role": "approver", "organization": "acme", "scopes": ["approvals:read"]}
    warden.script(Reply(body=told))
    assert "ann@example.com, approver of acme; may approvals:read" in shell("whoami", AGENTWARDEN_TOKEN=TOKEN).out
    assert (warden.seen[-1].path, warden.seen[-1].headers["authorization"]) == ("/api/whoami", f"Bearer {TOKEN}")
    assert "x-api-key" not in warden.seen[-1].headers


def stored(shell: Shell, mode: int = 0o600, **servers: dict[str, str]) -> None:
    shell.file.parent.mkdir(exist_ok=True)
    shell.file.write_text(json.dumps({"base_url": next(iter(servers.values()))["url"], "servers": {
        each.pop("url"): each for each in servers.values()
    }}))  # fmt: skip
    shell.file.chmod(mode)


def test_flags_win_over_the_environment_and_that_over_the_file(
    shell: Shell, warden: ScriptedWarden, tmp_path: Path
) -> None:
    warden.script(Reply(body=ALLOWED))
    stored(shell, here={"url": warden.url, "key": "ak_stored_stored_stored", "agent": "stored-bot"})
    shell("check", "x.y")
    shell.environment.clear()
    shell("check", "x.y")
    file = tmp_path / "key"
    file.write_text("ak_flag_flag_flag_flag\n")
    shell("check", "x.y", "--key-file", str(file), "--agent", "flag-bot", AGENTWARDEN_API_KEY=KEY)
    assert [(seen.headers["x-api-key"], seen.body["agent_id"]) for seen in warden.seen] == [
        (KEY, "bot"),
        ("ak_stored_stored_stored", "stored-bot"),
        ("ak_flag_flag_flag_flag", "flag-bot"),
    ]


def test_a_stored_key_is_never_sent_to_another_server(shell: Shell, warden: ScriptedWarden) -> None:
    shell.environment.clear()
    stored(shell, there={"url": "https://warden.example.com", "key": "ak_stored_stored_stored"})
    done = shell("check", "x.y", "--base-url", warden.url)
    assert (done.code, warden.seen) == (2, [])
    assert f"there is none for {warden.url}" in done.err


def test_a_file_that_others_can_read_is_not_read(shell: Shell, warden: ScriptedWarden) -> None:
    stored(shell, 0o644, here={"url": warden.url, "key": "ak_stored_stored_stored"})
    done = shell("check", "x.y")
    assert (done.code, warden.seen) == (2, [])
    assert "chmod 600" in done.err


def test_what_a_stranger_wrote_moves_no_cursor(shell: Shell, warden: ScriptedWarden) -> None:
    warden.script(Reply(body={**DENIED, "reason": "no\x1b[2K\rallowed \u202e"}))
    assert shell("check", "x.y").out == "denied  no⟨U+001B⟩[2K⟨U+000D⟩allowed ⟨U+202E⟩\n"
    assert "\\u001b" in shell("check", "x.y", "--json").out


def test_every_command_explains_itself(shell: Shell) -> None:
    top = shell("--help")
    assert top.code == 0
    for name in cli.COMMANDS:
        assert name in top.out
        verbs = {"approvals": ["list"], "hook": ["claude-code"], "authz": ["check"], "policy": ["plan"]}.get(name, [])
        assert "--json" in shell(name, *verbs, "--help").out
    assert shell("no-such-command").code == 2


def test_the_console_script_is_the_command() -> None:
    script = Path(sys.executable).with_name("agentwarden")
    for command in ([str(script)], [sys.executable, "-m", "agentwarden"]):
        done = subprocess.run([*command, "check", "x.y"], capture_output=True, text=True, check=False, env={
            "PATH": os.environ["PATH"], "HOME": "/nonexistent",
        })  # fmt: skip
        assert (done.returncode, done.stdout) == (2, "")
        assert "No server" in done.stderr
