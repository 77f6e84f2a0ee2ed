"""Going ahead without Warden: only what was named, only when nobody answers, and never in silence."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from scripted_warden import ALLOWED, DENIED, PENDING, Reply, ScriptedWarden

from agentwarden import AgentWardenError, ValidationError

OPEN = {"fail_open_actions": {"page.view"}, "max_retries": 0}
SILENCE = [Reply(hang_up=True), Reply(500, b""), Reply(502, b"<html>"), Reply(503, {"detail": "busy"}), Reply(504, b"")]


@pytest.mark.parametrize("silence", [*SILENCE, Reply(body=ALLOWED, cut=2), Reply(body=ALLOWED, delay=1)])
async def test_a_named_action_goes_ahead_while_warden_is_silent(
    make: Any, warden: ScriptedWarden, silence: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    warden.script(silence)
    warden.script_logs(Reply(hang_up=True))
    guard = make(timeout=0.5, **OPEN)
    with caplog.at_level(logging.WARNING, "agentwarden"):
        result = await guard.check("bot", "page.view", {"page": 7})
    assert result
    assert result.fail_open is True
    assert "fail_open_actions" in caplog.text
    with pytest.raises(AgentWardenError):
        await guard.check("bot", "page.edit", {"page": 7})
    with pytest.raises(AgentWardenError):
        await guard.check("bot", "page.view.all", {"page": 7})


async def test_it_is_reported_when_warden_is_back(make: Any, warden: ScriptedWarden) -> None:
    guard = make(**OPEN)
    warden.script(Reply(hang_up=True))
    for page in range(12):
        assert await guard.check("bot", "page.view", {"page": page})
    assert warden.logs == []
    warden.script(Reply(body=DENIED))
    for _ in range(3):
        assert not await guard.check("bot", "page.view", {"page": 99})
    assert [seen.body["context"]["page"] for seen in warden.logs] == list(range(12))
    told = warden.logs[0].body
    assert (told["status"], told["agent_id"], told["action"]) == ("success", "bot", "page.view")
    assert told["context"]["fail_open"] is True
    assert told["context"]["fail_open_at"].endswith("+00:00")
    assert len({seen.headers["idempotency-key"] for seen in warden.logs}) == 12


async def test_closing_delivers_what_is_overdue(make: Any, warden: ScriptedWarden) -> None:
    guard = make(**OPEN)
    warden.script(Reply(hang_up=True))
    for page in range(9):
        await guard.check("bot", "page.view", {"page": page})
    await guard.close()
    assert len(warden.logs) == 9


async def test_what_cannot_be_delivered_is_said_on_closing(
    make: Any, warden: ScriptedWarden, caplog: pytest.LogCaptureFixture
) -> None:
    guard = make(**OPEN)
    warden.script(Reply(hang_up=True))
    warden.script_logs(Reply(hang_up=True))
    await guard.check("bot", "page.view")
    await guard.close()
    assert "1 outcomes could not be reported" in caplog.text


async def test_a_report_that_is_refused_does_not_block_the_next(make: Any, warden: ScriptedWarden) -> None:
    guard = make(**OPEN)
    warden.script(Reply(hang_up=True))
    await guard.check("bot", "page.view", {"n": 1})
    await guard.check("bot", "page.view", {"n": 2})
    warden.script(Reply(body=ALLOWED))
    warden.script_logs(Reply(422, {"detail": "no"}), Reply())
    await guard.check("bot", "page.view")
    await guard.check("bot", "page.view")
    assert [seen.body["context"]["n"] for seen in warden.logs] == [1, 2]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(401, {"detail": "Invalid API key"}),
        Reply(403, {"detail": "no"}),
        Reply(404, {"detail": "Agent not found"}),
        Reply(409, {"detail": "no"}),
        Reply(422, {"detail": "no"}),
        Reply(429, {"detail": "no"}),
        Reply(302, b""),
        Reply(204, b""),
        Reply(body=b"{}"),
        Reply(body={**ALLOWED, "allowed": "true"}),
        Reply(body=ALLOWED, headers={"Content-Type": "text/html"}),
    ],
    ids=lambda answer: f"{answer.status} {str(answer.body)[:30]}",
)
async def test_an_answer_is_an_answer(make: Any, warden: ScriptedWarden, answer: Reply) -> None:
    warden.script(answer)
    with pytest.raises(AgentWardenError):
        await make(**OPEN).check("bot", "page.view")


async def test_a_real_no_stays_a_no(make: Any, warden: ScriptedWarden) -> None:
    for body in (DENIED, PENDING):
        warden.script(Reply(body=body))
        result = await make(**OPEN).check("bot", "page.view")
        assert not result
        assert result.fail_open is False


async def test_an_action_carried_out_openly_is_marked_in_its_outcome(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(hang_up=True))
    guard = make(**OPEN)
    assert await guard.execute("bot", "page.view", lambda: 42, {"n": 1}) == 42
    outcomes = [seen.body["context"] for seen in warden.logs]
    assert all(context["fail_open"] is True and context["n"] == 1 for context in outcomes)
    assert len(outcomes) == 2


@pytest.mark.parametrize("actions", ["page.view", ["page.*"], ["*"], [""], [7], ["a b"]], ids=repr)
async def test_the_list_names_exact_actions(make: Any, actions: Any) -> None:
    with pytest.raises(ValidationError, match="fail_open_actions"):
        make(fail_open_actions=actions)
