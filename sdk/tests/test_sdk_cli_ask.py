"""`ask`, `login`, `approvals` and `completion`: waiting for people from a shell."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from scripted_warden import ALLOWED, DENIED, LOGGED, PENDING, Reply, ScriptedWarden, Seen, approval, claimed
from shell import Shell
from test_sdk_cli import IDENTITY, TOKEN

CLAIMED_BEFORE = Reply(409, {"detail": "x", "code": "already_claimed"})
ROW = {
    "id": "apr_1",
    "status": "pending",
    "agent_id": "0198c0de-0000-7000-8000-000000000000",
    "agent": "bot",
    "action": "deploy.production",
    "context": {"version": "1.4.2"},
    "reason": "",
}


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, warden: ScriptedWarden) -> Shell:
    shell = Shell(tmp_path, monkeypatch, capsys)
    shell.environment = {"AGENTWARDEN_BASE_URL": warden.url, "AGENTWARDEN_API_KEY": KEY, "AGENTWARDEN_AGENT": "bot"}
    return shell


def paths(warden: ScriptedWarden) -> list[str]:
    return [f"{seen.method} {seen.path}" for seen in warden.seen]


@pytest.mark.parametrize(
    ("replies", "code"),
    [
        ([Reply(body=ALLOWED)], 0),
        ([Reply(body=DENIED)], 1),
        ([Reply(body=PENDING), Reply(body=approval("approved")), Reply(body=claimed())], 0),
        ([Reply(body=PENDING), Reply(body=approval("denied"))], 1),
        ([Reply(body=PENDING), Reply(body=approval("expired"))], 4),
        ([Reply(body=PENDING), Reply(body=approval("cancelled"))], 4),
        ([Reply(body=PENDING), Reply(body=approval("approved")), CLAIMED_BEFORE], 4),
        ([Reply(body=PENDING), Reply(body=approval("approved")), Reply(200, {"id": "apr_1", "status": "approved"})], 5),
        ([Reply(body=PENDING), Reply(401, {"detail": "Invalid API key"})], 5),
        ([Reply(503, {"detail": "x"})], 5),
    ],
)  # fmt: skip
def test_the_exit_code_of_ask_says_the_decision(
    shell: Shell, warden: ScriptedWarden, replies: list[Reply], code: int
) -> None:
    warden.script(*replies)
    done = shell("ask", "deploy.production", "version=1.4.2", "--timeout", "1")
    assert done.code == code, done
    if code == 0 and len(replies) == 3:
        assert paths(warden)[-1] == "POST /sdk/approvals/apr_1/claim"


def test_an_approval_that_nobody_gives_is_waited_for_as_long_as_was_said(shell: Shell, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=PENDING), Reply(body=approval("pending")))
    done = shell("ask", "deploy.production", "--wait", "0.2")
    assert (done.code, "run the same command to go on waiting" in done.err) == (3, True)
    assert shell("ask", "deploy.production", "--wait", "nan").code == 2


def test_what_the_approver_changed_is_not_passed_off_as_a_yes(shell: Shell, warden: ScriptedWarden) -> None:
    changed = {"version": "1.4.1"}
    asked = Reply(body=approval("approved", effective_context=changed))
    warden.script(Reply(body=PENDING), asked, Reply(body=claimed(changed)))
    done = shell("ask", "deploy.production", "version=1.4.2")
    assert (done.code, "approved with changes" in done.err) == (4, True)
    assert "POST /sdk/approvals/apr_1/claim" not in paths(warden)
    warden.script(Reply(body=PENDING), asked, Reply(body=claimed(changed)))
    told = shell.json("ask", "deploy.production", "version=1.4.2", "--accept-changes")
    assert (told["status"], told["effective_context"]) == ("approved", changed)
    edited = {**DENIED, "code": "edited", "approval_id": "apr_1", "effective_context": changed}
    warden.script(Reply(body=edited), asked, Reply(body=claimed(changed)))
    assert shell("ask", "deploy.production", "version=1.4.2").code == 4
    warden.script(Reply(body=edited), asked, Reply(body=claimed(changed)))
    assert shell.json("ask", "deploy.production", "version=1.4.2", "--accept-changes")["effective_context"] == changed
    warden.script(Reply(body={**ALLOWED, "effective_context": changed}))
    assert shell("ask", "deploy.production", "version=1.4.2").code == 4
    assert shell("check", "deploy.production", "version=1.4.2").code == 4


def test_whoever_interrupts_ask_cancels_the_request(tmp_path: Path, warden: ScriptedWarden) -> None:
    """At a terminal, with a spinner."""

    def answer(seen: Seen) -> Reply:
        if seen.path.endswith("/cancel"):
            return Reply(body=approval("cancelled"))
        return Reply(body=PENDING) if seen.path == "/sdk/check" else Reply(body=approval("pending"), delay=20)

    warden.script(answer)
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "agentwarden", "ask", "deploy.production"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONIOENCODING": "utf-8",
            "AGENTWARDEN_BASE_URL": warden.url,
            "AGENTWARDEN_API_KEY": KEY,
            "AGENTWARDEN_AGENT": "bot",
        },
        stderr=terminal,
        stdout=terminal,
        stdin=terminal,
    )
    os.close(terminal)
    seen = b""
    deadline = time.monotonic() + 30
    while b"waiting for a decision" not in seen and time.monotonic() < deadline:
        seen += os.read(main, 1000)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    os.close(main)
    assert paths(warden)[-1] == "POST /sdk/approvals/apr_1/cancel"


def test_login_keeps_a_key_for_its_owner_alone(shell: Shell, warden: ScriptedWarden) -> None:
    shell.environment.clear()
    warden.script(Reply(body=IDENTITY))
    done = shell("login", "--base-url", f"{warden.url}/", "--agent", "bot", stdin=f"{KEY}\n")
    assert done.code == 0, done
    assert KEY not in done.out + done.err
    assert shell.file.stat().st_mode & 0o777 == 0o600
    assert json.loads(shell.file.read_text()) == {
        "base_url": warden.url,
        "servers": {warden.url: {"key": KEY, "agent": "bot"}},
    }
    warden.script(Reply(body=ALLOWED))
    assert shell("check", "x.y").code == 0
    assert warden.seen[-1].headers["x-api-key"] == KEY
    warden.script(Reply(body={"email": "ann@example.com", "role": "approver", "organization": "acme", "scopes": []}))
    assert shell("login", stdin=f"{TOKEN}\n").code == 0
    assert json.loads(shell.file.read_text())["servers"][warden.url] == {"key": KEY, "agent": "bot", "token": TOKEN}
    assert shell("login", "--forget").code == 0
    assert shell("check", "x.y").code == 2


def test_login_stores_nothing_that_does_not_work(shell: Shell, warden: ScriptedWarden) -> None:
    shell.environment.clear()
    warden.script(Reply(401, {"detail": "Invalid API key"}))
    assert shell("login", "--base-url", warden.url, stdin=f"{KEY}\n").code == 5
    assert shell("login", "--base-url", warden.url, stdin="\n").code == 2
    assert shell("login", "--base-url", "http://warden.example.com", stdin=f"{KEY}\n").code == 2
    assert shell("login", stdin=f"{KEY}\n").code == 2
    assert not shell.file.exists()


def test_a_person_lists_and_shows_what_waits(shell: Shell, warden: ScriptedWarden) -> None:
    assert "a person's access token" in shell("approvals", "list").err
    shell.environment["AGENTWARDEN_TOKEN"] = TOKEN
    warden.script(Reply(body=[ROW]))
    listed = shell("approvals", "list", "--status", "pending", "--mode", "test", "--agent", "bot")
    assert listed.out == "apr_1  pending    bot  deploy.production  version=1.4.2\n"
    assert warden.seen[-1].query == {"mode": ["test"], "limit": ["20"], "status": ["pending"], "agent_id": ["bot"]}
    warden.script(Reply(body=ROW))
    assert "version=1.4.2" in shell("approvals", "show", "apr_1").out
    assert shell.json("approvals", "show", "apr_1") == ROW
    warden.script(Reply(body=[]))
    assert shell("approvals", "list").out == "none\n"
    assert shell("approvals", "show", "../../agents").code == 2


def test_an_agent_watches_its_own_request_to_its_end(shell: Shell, warden: ScriptedWarden) -> None:
    ended = {**approval("denied"), "agent_id": "bot", "action": "x.y"}
    warden.script(Reply(body=approval("pending")), Reply(body=ended))
    assert shell("approvals", "watch", "apr_1").code == 1


def test_a_person_watches_requests_come_and_end(
    shell: Shell, warden: ScriptedWarden, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([[], [ROW], [ROW], []])

    def answer(seen: Seen) -> Reply:
        if seen.path != "/api/approvals":
            return Reply(body={**ROW, "status": "approved"})
        rows = next(looks, None)
        return Reply(401, {"detail": "over"}) if rows is None else Reply(body=rows)

    monkeypatch.setattr("agentwarden.cli.approvals.EVERY", 0.01)
    warden.script(answer)
    done = shell("approvals", "watch", AGENTWARDEN_TOKEN=TOKEN)
    assert [line.split()[1] for line in done.out.splitlines()] == ["pending", "approved"]


def test_every_command_answers_a_program_with_one_line_of_json(shell: Shell, warden: ScriptedWarden) -> None:
    """Its answer, or what went wrong: a program reads nothing else."""
    shell.environment["AGENTWARDEN_TOKEN"] = TOKEN
    warden.script(Reply(body=ALLOWED))
    assert shell.json("check", "x.y")["allowed"] is True
    assert shell.json("ask", "x.y")["status"] == "allowed"
    assert shell.json("log", "x.y", "success")["id"] == LOGGED["id"]
    warden.script(Reply(body=[ROW]))
    assert shell.json("approvals", "list") == [ROW]
    warden.script(Reply(body={**ROW, "status": "denied"}))
    assert shell.json("approvals", "show", "apr_1")["status"] == "denied"
    assert shell.json("approvals", "watch", "apr_1", code=1)["status"] == "denied"
    key = shell.environment.pop("AGENTWARDEN_API_KEY")
    warden.script(Reply(body={"email": "ann@example.com", "role": "approver", "organization": "acme", "scopes": []}))
    assert shell.json("whoami")["token"]["email"] == "ann@example.com"
    assert shell.json("login", stdin=f"{TOKEN}\n")["token"]["email"] == "ann@example.com"
    assert shell.json("login", "--forget")["base_url"] == warden.url
    for name in ("bash", "fish", "zsh"):
        assert shell.json("completion", name) == {"shell": name, "script": shell("completion", name).out.rstrip("\n")}
    shell.environment["AGENTWARDEN_API_KEY"] = key
    refused = Reply(401, {"detail": "Invalid API key"})
    warden.script(refused)
    warden.script_logs(refused)
    for words in (["check", "x.y"], ["ask", "x.y"], ["log", "x.y", "success"], ["whoami"], ["approvals", "list"]):
        assert shell.json(*words, code=5)["error"]["status_code"] == 401


def complete(shell: Shell, *typed: str) -> list[str]:
    script = shell("completion", "bash").out
    tried = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _agentwarden; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{tried}", "bash", "agentwarden", *typed],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_bash_completes_commands_verbs_and_options(shell: Shell) -> None:
    assert complete(shell, "a") == ["ask", "approvals", "authz"]
    assert complete(shell, "approvals", "") == ["list", "show", "watch"]
    assert complete(shell, "approvals", "list", "--st") == ["--status"]
    assert complete(shell, "check", "x.y", "--idem") == ["--idempotency-key"]
    assert "success" in complete(shell, "log", "x.y", "")


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_the_other_shells_are_told_the_same_words(shell: Shell, name: str) -> None:
    script = shell("completion", name).out
    for word in ("approvals", "watch", "idempotency-key", "success"):
        assert word in script
