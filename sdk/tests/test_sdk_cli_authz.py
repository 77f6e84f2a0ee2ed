"""agentwarden authz check: exits with 0 on an allow, and on nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from scripted_warden import Reply, ScriptedWarden
from shell import Shell

CALLER, CALLEE = "spiffe://example.com/agent/a/production", "spiffe://example.com/agent/b/production"
CHECK = ("authz", "check", "--caller", CALLER, "--callee", CALLEE, "--action", "query")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, warden: ScriptedWarden) -> Shell:
    shell = Shell(tmp_path, monkeypatch, capsys)
    shell.environment = {"AGENTWARDEN_BASE_URL": warden.url, "AGENTWARDEN_API_KEY": KEY, "AGENTWARDEN_MAX_RETRIES": "0"}
    return shell


def said(**result: Any) -> Reply:
    return Reply(body={"result": result, "decision_id": "dec_1"})


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (said(allow=True, reason="Allowed by 'agentweave.query'"), 0, "allowed  Allowed by"),
        (said(allow=False, reason="Unknown caller"), 1, "denied  Unknown caller"),
        (said(allow=False, reason="A person", approval_id="apr_1", requires_approval=True), 3, "waiting  apr_1"),
    ],
)
def test_the_exit_code_is_the_answer(shell: Shell, warden: ScriptedWarden, reply: Reply, code: int, words: str) -> None:
    warden.script(reply)
    done = shell(*CHECK, "--context", '{"rows": 5}')
    assert (done.code, done.out.startswith(words)) == (code, True)
    assert warden.seen[0].path == "/v1/data/agentweave/authz"
    assert warden.seen[0].body == {
        "input": {
            "caller_spiffe_id": CALLER,
            "action": "query",
            "callee_spiffe_id": CALLEE,
            "context": {"rows": 5},
        }
    }


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body={}),
        Reply(body={"result": True}),
        Reply(body={"result": {"allow": "true"}}),
        Reply(body={"result": {"allow": 1}}),
        Reply(body=[]),
        Reply(status=401, body={"code": "unauthorized", "message": "Invalid API key"}),
        Reply(status=404, body={"code": "undefined_document", "message": "No policy"}),
        Reply(status=500, body={}),
    ],
)
def test_what_is_no_answer_is_no_allow(shell: Shell, warden: ScriptedWarden, reply: Reply) -> None:
    warden.script(*[reply] * 4)
    assert shell(*CHECK).code == 5


def test_caller_and_action_are_needed(shell: Shell, warden: ScriptedWarden) -> None:
    assert shell("authz", "check", "--caller", CALLER).code == 2
    assert shell("authz", "check", "--action", "query").code == 2
    assert warden.seen == []
