"""The PreToolUse hook: recorded inputs of every documented form, and garbage. Garbage is never an allow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from scripted_warden import ALLOWED, DENIED, PENDING, Reply, ScriptedWarden, approval, claimed, closed_port

from agentwarden import AgentWarden
from agentwarden._claude_hook import ABOUT, TOLD, decide, read_call
from agentwarden._tool_names import claude_action
from agentwarden.testing import FakeWarden

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "claude_code_inputs.json").read_text())
BASE = RECORDED["base"]
CALLS = [
    pytest.param({**BASE, **call["input"]}, call["action"], id=call["input"]["tool_name"]) for call in RECORDED["calls"]
]
BASH = {**BASE, **RECORDED["calls"][0]["input"]}


def asked(guard: AgentWarden, raw: bytes, **options: Any) -> dict[str, Any]:
    decided = decide(guard, lambda: "claude", raw, **{"wait": 0.2, "confirm": False, **options})
    assert decided.keys() == {"hookSpecificOutput"}
    told: dict[str, Any] = decided["hookSpecificOutput"]
    assert told["hookEventName"] == "PreToolUse"
    assert told["permissionDecision"] in {"allow", "deny", "ask"}
    assert isinstance(told["permissionDecisionReason"], str)
    return told


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(("value", "action"), CALLS)
def test_each_documented_tool_has_its_action_and_its_input_is_the_context(value: dict[str, Any], action: str) -> None:
    fake = FakeWarden()
    fake.allow(action)
    with fake.client() as guard:
        assert asked(guard, encoded(value))["permissionDecision"] == "allow"
    [check] = fake.checks
    assert check.action == action
    context = dict(check.context or {})
    assert context.pop(ABOUT) == {"tool": value["tool_name"], "cwd": BASE["cwd"], "permission_mode": "default"}
    assert context == value["tool_input"]


FORMS: dict[str, dict[str, Any]] = {
    **{mode: {"permission_mode": mode} for mode in ("plan", "acceptEdits", "auto", "dontAsk", "bypassPermissions")},
    "a subagent": {"agent_id": "a1b2c3", "agent_type": "Explore"},
    "a session of one agent": {"agent_type": "security-reviewer"},
    "no effort": {"effort": None},
    "something newer": {"a_field_of_tomorrow": {"x": [1]}},
}


@pytest.mark.parametrize("more", FORMS.values(), ids=FORMS)
def test_whatever_a_call_is_part_of_it_is_judged_and_said(more: dict[str, Any]) -> None:
    """Also in the modes in which Claude Code itself asks nobody."""
    value = {name: each for name, each in {**BASH, **more}.items() if each is not None}
    fake = FakeWarden()
    fake.allow("claude.bash")
    with fake.client() as guard:
        assert asked(guard, encoded(value))["permissionDecision"] == "allow"
        fake.deny("claude.bash")
        assert asked(guard, encoded(value))["permissionDecision"] == "deny"
    told = (fake.checks[0].context or {})[ABOUT]
    assert told == {"tool": "Bash", **{name: value[name] for name in TOLD if name in value}}


def test_a_call_of_an_older_version_is_judged_too() -> None:
    """Before there were tool_use_id, permission_mode and the rest."""
    fake = FakeWarden()
    fake.allow("claude.bash")
    older = {
        "session_id": "abc123",
        "hook_event_name": "PreToolUse",
        "tool_name": "Bash",
        "tool_input": {"command": "ls"},
    }
    with fake.client() as guard:
        assert asked(guard, encoded(older))["permissionDecision"] == "allow"
    assert fake.checks[0].context == {"command": "ls", ABOUT: {"tool": "Bash"}}


def test_every_tool_that_is_documented_makes_an_action_of_its_own() -> None:
    """https://code.claude.com/docs/en/tools-reference"""
    names = (
        *("Agent", "Artifact", "AskUserQuestion", "Bash", "CronCreate", "CronDelete", "CronList", "Edit"),
        *("EnterPlanMode", "EnterWorktree", "ExitPlanMode", "ExitWorktree", "Glob", "Grep", "LSP", "Monitor"),
        *("ListMcpResourcesTool", "NotebookEdit", "PowerShell", "Read", "ReadMcpResourceTool", "SendMessage", "Skill"),
        *("Task", "TaskCreate", "TaskGet", "TaskList", "TaskOutput", "TaskStop", "TaskUpdate", "TodoWrite"),
        *("ToolSearch", "WebFetch", "WebSearch", "Write"),
    )
    made = {claude_action(name) for name in names}
    assert made == {f"claude.{name.lower()}" for name in names}
    assert len(made) == len(names)


@pytest.mark.parametrize(("value", "action"), CALLS)
def test_what_no_permission_names_is_denied(value: dict[str, Any], action: str) -> None:
    with FakeWarden().client() as guard:
        told = asked(guard, encoded(value))
    assert told["permissionDecision"] == "deny"
    assert action in told["permissionDecisionReason"]


GARBAGE = {
    "nothing": b"",
    "a word": b"allow",
    "half of it": encoded(BASH)[:-20],
    "twice": encoded(BASH) * 2,
    "a list": encoded([BASH]),
    "a text": b'"PreToolUse"',
    "null": b"null",
    "not UTF-8": b"\xff\xfe" + encoded(BASH),
    "a lone surrogate": encoded({**BASH, "tool_name": "\ud800"}),
    "a lone surrogate in the input": encoded({**BASH, "tool_input": {"command": "\udfff"}}),
    "the tool twice": b'{"hook_event_name": "PreToolUse", "tool_name": "Read", "tool_name": "Bash", "tool_input": {}}',
    "NaN": b'{"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"timeout": NaN}}',
    "1e400": b'{"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"timeout": 1e400}}',
    "very deep": b"[" * 100_000,
    "too large": b" " * (16 * 1024 * 1024 + 1),
    "no event": encoded({name: value for name, value in BASH.items() if name != "hook_event_name"}),
    "no tool": encoded({name: value for name, value in BASH.items() if name != "tool_name"}),
    "no input": encoded({name: value for name, value in BASH.items() if name != "tool_input"}),
    "an input that is a text": encoded({**BASH, "tool_input": "ls"}),
    "an input that is a list": encoded({**BASH, "tool_input": ["ls"]}),
    "a tool that is a number": encoded({**BASH, "tool_name": 7}),
    "a tool without a name": encoded({**BASH, "tool_name": ""}),
    "a tool with a space": encoded({**BASH, "tool_name": "Ba sh"}),
    "a tool of many parts": encoded({**BASH, "tool_name": "a.b.c.d.e.f"}),
    "a wildcard": encoded({**BASH, "tool_name": "*"}),
    "a line feed": encoded({**BASH, "tool_name": "Bash\n"}),
    "letters of another script": encoded({**BASH, "tool_name": "Ваsh"}),
    "a server without a tool": encoded({**BASH, "tool_name": "mcp__github"}),
    "a tool without a server": encoded({**BASH, "tool_name": "mcp____create"}),
    "an ambiguous server": encoded({**BASH, "tool_name": "mcp__a__b__c"}),
    "our own field": encoded({**BASH, "tool_input": {ABOUT: {}}}),
    **{
        f"the event {name}": encoded({**BASH, "hook_event_name": name})
        for name in ("PostToolUse", "PermissionRequest", "Stop", "pretooluse", "", None, 1)
    },
}


@pytest.mark.parametrize("raw", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_denied_before_anybody_is_asked(raw: bytes, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    with AgentWarden(KEY, warden.url) as guard:
        assert asked(guard, raw)["permissionDecision"] == "deny"
    assert warden.seen == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=DENIED),
        Reply(body={**ALLOWED, "allowed": "true"}),
        Reply(body={**ALLOWED, "requires_approval": True}),
        Reply(body=b"allowed"),
        Reply(body=encoded(ALLOWED)[:-5]),
        Reply(body=ALLOWED, cut=9),
        Reply(hang_up=True),
        Reply(body=ALLOWED, delay=2),
        *(Reply(status, ALLOWED) for status in (201, 202, 204, 302, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503)),
    ],
    ids=lambda reply: str(reply.status),
)
def test_any_other_answer_than_an_allow_is_denied(warden: ScriptedWarden, reply: Reply) -> None:
    warden.script(reply)
    with AgentWarden(KEY, warden.url, timeout=0.6, backoff=0.001) as guard:
        told = asked(guard, encoded(BASH))
    assert told["permissionDecision"] == "deny"
    assert KEY not in json.dumps(told)


def test_a_person_approves_and_the_call_is_claimed(warden: ScriptedWarden) -> None:
    warden.script(Reply(body=PENDING), Reply(body=approval("approved", reason="Go")), Reply(body=claimed()))
    with AgentWarden(KEY, warden.url) as guard:
        assert asked(guard, encoded(BASH))["permissionDecision"] == "allow"
    assert [seen.path.rpartition("/")[2] for seen in warden.seen] == ["check", "apr_1", "claim"]


@pytest.mark.parametrize("status", ["pending", "denied", "expired", "cancelled", "unheard-of"])
def test_every_other_end_of_a_request_is_denied(warden: ScriptedWarden, status: str) -> None:
    warden.script(Reply(body=PENDING), Reply(body=approval(status)))
    with AgentWarden(KEY, warden.url, timeout=1, max_retries=0) as guard:
        assert asked(guard, encoded(BASH))["permissionDecision"] == "deny"


def test_an_approval_that_was_taken_is_denied(warden: ScriptedWarden) -> None:
    taken = Reply(409, {"detail": "This approval was claimed already", "code": "already_claimed"})
    warden.script(Reply(body=PENDING), Reply(body=approval("approved")), taken)
    with AgentWarden(KEY, warden.url) as guard:
        told = asked(guard, encoded(BASH))
    assert told["permissionDecision"] == "deny"
    assert "claimed already" in told["permissionDecisionReason"]


def test_what_the_approver_changed_becomes_the_input() -> None:
    fake = FakeWarden()
    fake.ask("claude.bash")
    context = read_call(encoded(BASH)).context
    with fake.client() as guard:
        waiting = guard.check("claude", "claude.bash", context)
        fake.approve(waiting.approval_id, effective_context={**context, "command": "npm test -- --ci"})
        told = asked(guard, encoded(BASH))
        assert told["permissionDecision"] == "allow"
        assert told["updatedInput"] == {**BASH["tool_input"], "command": "npm test -- --ci"}
        assert fake.claims == [waiting.approval_id]
        waiting = guard.check("claude", "claude.bash", context)
        fake.approve(waiting.approval_id, effective_context={**context, ABOUT: {"cwd": "/"}})
        assert asked(guard, encoded(BASH))["permissionDecision"] == "deny"
        assert fake.claims[1:] == []  # what this hook cannot do is not used up


@pytest.mark.parametrize(
    "told", [PENDING, {**DENIED, "code": "edited", "approval_id": "apr_1"}], ids=["waits", "edited"]
)
def test_the_original_input_never_runs_on_an_approval_that_was_changed(
    warden: ScriptedWarden, told: dict[str, Any]
) -> None:
    """Whatever is said before, what was claimed is what runs; and where nothing can be claimed, nothing does."""
    changed = {**read_call(encoded(BASH)).context, "command": "ls"}
    plain = Reply(body=approval("approved"))
    warden.script(Reply(body=told), plain, Reply(body=claimed(changed)))
    with AgentWarden(KEY, warden.url, max_retries=0) as guard:
        assert asked(guard, encoded(BASH))["updatedInput"] == {**BASH["tool_input"], "command": "ls"}
        warden.script(Reply(body=told), plain, Reply(409, {"detail": "The policy changed", "code": "policy_changed"}))
        assert asked(guard, encoded(BASH))["permissionDecision"] == "deny"
        warden.script(Reply(body={**told, "approval_id": None, "requires_approval": False, "code": "edited"}))
        assert asked(guard, encoded(BASH))["permissionDecision"] == "deny"


def test_the_person_at_the_terminal_may_have_to_confirm(warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED), Reply(body=DENIED))
    with AgentWarden(KEY, warden.url) as guard:
        assert asked(guard, encoded(BASH), confirm=True)["permissionDecision"] == "ask"
        assert asked(guard, encoded(BASH), confirm=True)["permissionDecision"] == "deny"


def hook(*words: str, raw: bytes = encoded(BASH), **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "agentwarden", "hook", *words],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        input=raw,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_the_command_answers_on_stdout_and_exits_0(warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    ours = {"AGENTWARDEN_BASE_URL": warden.url, "AGENTWARDEN_API_KEY": KEY, "AGENTWARDEN_AGENT": "claude"}
    done = hook("claude-code", **ours)
    assert done.returncode == 0
    assert json.loads(done.stdout)["hookSpecificOutput"]["permissionDecision"] == "allow"


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["claude-code"], {}),
        (["claude-code", "--wait", "nan"], {"AGENTWARDEN_BASE_URL": "http://localhost:1", "AGENTWARDEN_API_KEY": KEY}),
        (["claude-code", "--timeout", "0.2"], {"AGENTWARDEN_BASE_URL": closed_port(), "AGENTWARDEN_API_KEY": KEY}),
        (["claude-code", "--wait", "soon"], {}),
        (["claude-code", "--no-such-option"], {}),
        (["another-program"], {}),
        ([], {}),
    ],
)
def test_a_command_that_cannot_ask_denies_or_exits_2(words: list[str], environment: dict[str, str]) -> None:
    """Claude Code takes every other exit code for a "go ahead"."""
    done = hook(*words, **environment)
    if done.returncode == 0:
        assert json.loads(done.stdout)["hookSpecificOutput"]["permissionDecision"] == "deny"
    else:
        assert (done.returncode, done.stdout) == (2, b"")


def test_a_hook_that_is_broken_exits_2(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from agentwarden import cli

    monkeypatch.setattr("agentwarden.cli.load", lambda name: 1 / 0)
    assert cli.main(["hook", "claude-code"]) == 2
    assert capsys.readouterr().out == ""
