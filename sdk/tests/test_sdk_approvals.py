"""Waiting for a person, and taking what was approved exactly once."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timezone
from typing import Any

import pytest
from scripted_warden import Reply, ScriptedWarden, approval, claimed

from agentwarden import APIError, NetworkError, ValidationError
from agentwarden import _core as core


async def test_a_wait_is_one_long_poll_after_another(make: Any, warden: ScriptedWarden) -> None:
    decision = {"status": "approved", "reason": "fine", "decided_by": "ada", "decided_at": "2025-01-02T03:04:05+01:00"}
    warden.script(
        Reply(body=approval("pending"), delay=1.0),
        Reply(body=approval("approved", decision=decision, effective_context={"amount": 300})),
    )
    found = await make().wait_for_approval("apr_1")
    assert found
    assert (found.status, found.reason, found.decided_by) == ("approved", "fine", "ada")
    assert found.decided_at == datetime(2025, 1, 2, 2, 4, 5, tzinfo=timezone.utc)
    assert found.effective_context == {"amount": 300}
    assert [(seen.method, seen.path, seen.query) for seen in warden.seen] == [
        ("GET", "/sdk/approvals/apr_1", {"wait": ["30s"]}),
        ("GET", "/sdk/approvals/apr_1", {"wait": ["30s"]}),
    ]


@pytest.mark.parametrize("status", ["denied", "expired", "cancelled"])
async def test_a_wait_ends_with_any_ending_and_only_approved_is_true(
    make: Any, warden: ScriptedWarden, status: str
) -> None:
    warden.script(Reply(body=approval(status)))
    found = await make().wait_for_approval("apr_1")
    assert not found
    assert found.status == status
    assert not found.pending


async def test_when_time_is_over_the_approval_is_returned_pending(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=approval("pending")))
    started = time.monotonic()
    found = await make().wait_for_approval("apr_1", timeout=0.3)
    assert found.pending
    assert not found
    assert 0.3 <= time.monotonic() - started < 2
    assert (await make().wait_for_approval("apr_1", timeout=0)).pending


async def test_a_server_that_answers_at_once_is_not_asked_in_a_spin(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=approval("pending")))
    await make().wait_for_approval("apr_1", timeout=2.2)
    assert len(warden.seen) <= 5


async def test_a_restart_of_the_server_does_not_end_a_wait(make: Any, warden: ScriptedWarden) -> None:
    trouble = [Reply(hang_up=True), Reply(503, b""), Reply(429, b""), Reply(502, b"<html>"), Reply(hang_up=True)]
    warden.script(Reply(body=approval("pending")), *trouble, Reply(body=approval("approved")))
    assert await make(max_retries=0).wait_for_approval("apr_1", timeout=30)


async def test_a_server_gone_for_good_ends_a_wait(
    make: Any, warden: ScriptedWarden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "OUTAGE_PATIENCE", 0.3)
    warden.script(Reply(hang_up=True))
    with pytest.raises(NetworkError):
        await make(backoff=0.05).wait_for_approval("apr_1")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": "apr_1"},
        approval("approved", id="apr_2"),
        approval("Approved"),
        approval("claimed"),
        {**approval("approved"), "status": True},
        {**approval("approved"), "decision": []},
        approval("approved", effective_context=[]),
        approval("approved", decision={"decided_at": "soon"}),
        approval("approved", claim="yes"),
    ],
    ids=repr,
)
async def test_an_approval_that_is_not_well_formed_is_not_one(make: Any, warden: ScriptedWarden, body: Any) -> None:
    warden.script(Reply(body=body))
    with pytest.raises(APIError, match="malformed"):
        await make().wait_for_approval("apr_1")
    with pytest.raises(APIError, match="malformed"):
        await make().get_approval("apr_1")


async def test_a_claim_has_a_receipt(make: Any, warden: ScriptedWarden) -> None:
    body = claimed({"amount": 300})
    body["claim"]["receipt"] = "header.claims.signature"
    warden.script(Reply(body=body))
    taken = await make().claim("apr_1", "once", audience="https://payments.example.com")
    assert taken.digest == "d" * 64
    assert taken.effective_context == {"amount": 300}
    assert taken.deadline_at == datetime(2025, 1, 2, 3, 9, 5, tzinfo=timezone.utc)
    assert taken.receipt == "header.claims.signature"
    assert taken.answer == body
    [seen] = warden.seen
    assert seen.body == {"audience": "https://payments.example.com"}
    assert (seen.method, seen.path, seen.headers["idempotency-key"]) == ("POST", "/sdk/approvals/apr_1/claim", "once")


@pytest.mark.parametrize("code", ["already_claimed", "not_approved", "approval_expired", "policy_changed"])
async def test_a_claim_that_is_refused_says_why(make: Any, warden: ScriptedWarden, code: str) -> None:
    warden.script(Reply(409, {"detail": "No", "code": code}))
    with pytest.raises(APIError) as caught:
        await make().claim("apr_1")
    assert (caught.value.code, caught.value.status_code) == (code, 409)
    assert len(warden.seen) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**claimed(), "claim": None},
        {**claimed(), "claim": {"digest": "d"}},
        {**claimed(), "status": "pending"},
        {**claimed(), "id": "apr_9"},
        {**claimed(), "effective_context": "x"},
    ],
    ids=repr,
)
async def test_a_claim_that_is_not_well_formed_is_not_one(make: Any, warden: ScriptedWarden, body: Any) -> None:
    warden.script(Reply(body=body))
    with pytest.raises(APIError, match="malformed"):
        await make().claim("apr_1")


async def test_an_approval_of_nobody_is_a_404(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(404, {"detail": "Approval not found"}))
    with pytest.raises(APIError, match="Approval not found"):
        await make().get_approval("apr_1")


async def test_giving_up_is_told(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=approval("cancelled")))
    assert (await make().cancel("apr_1")).status == "cancelled"
    assert (warden.seen[0].method, warden.seen[0].path) == ("POST", "/sdk/approvals/apr_1/cancel")


@pytest.mark.parametrize("approval_id", ["", "../check", "a/b", "a?wait=1", "a b", "é", None, "x" * 129])
async def test_an_id_cannot_lead_elsewhere(make: Any, warden: ScriptedWarden, approval_id: Any) -> None:
    guard = make()
    for method in (guard.get_approval, guard.wait_for_approval, guard.claim, guard.cancel):
        with pytest.raises(ValidationError):
            await method(approval_id)
    assert warden.seen == []


async def test_a_wait_for_less_than_no_time_is_refused(make: Any) -> None:
    for timeout in (-1, float("nan")):
        with pytest.raises(ValidationError):
            await make().wait_for_approval("apr_1", timeout=timeout)


async def test_many_tasks_wait_at_once(make: Any, warden: ScriptedWarden) -> None:
    guard = make()
    warden.script(Reply(body=approval("approved"), delay=0.5))
    started = time.monotonic()
    tasks = [asyncio.create_task(guard.wait_for_approval("apr_1")) for _ in range(4)]
    assert all(await asyncio.gather(*tasks))
    assert time.monotonic() - started < 5


async def test_an_agent_answers_what_people_ask(make: Any, warden: ScriptedWarden) -> None:
    asked = {"id": "cmt_1", "by": "ada@example.com", "kind": "question", "text": "Which?"}
    at = {"created_at": "2025-01-02T03:04:05Z"}
    attachment = {"name": "order.json", "text": "{}"}
    said = {"id": "cmt_2", "by": "bot", "kind": "answer", "text": "1042", "attachment": attachment}
    warden.script(Reply(body=approval("pending", comments=[asked | at])), Reply(503), Reply(body=said | at))
    guard = make()
    [question] = (await guard.get_approval("apr_1")).comments
    assert (question.kind, question.by, question.text, question.attachment) == ("question", asked["by"], "Which?", None)
    answer = await guard.comment("apr_1", "1042", attachment=attachment)
    assert (answer.kind, answer.text, answer.attachment) == ("answer", "1042", attachment)
    tried = warden.seen[-2:]
    assert {seen.path for seen in tried} == {"/sdk/approvals/apr_1/comments"}
    assert len({seen.headers["idempotency-key"] for seen in tried}) == 1  # once, however often it is sent
    with pytest.raises(ValidationError):
        await guard.comment("apr_1", "", attachment=attachment)
    with pytest.raises(ValidationError):
        await guard.comment("apr_1", "1042", attachment={"file": "x"})


async def test_a_request_that_is_sent_back_says_so(make: Any, warden: ScriptedWarden) -> None:
    decision = {"status": "denied", "reason": "At most 300", "code": "changes_requested"}
    warden.script(Reply(body=approval("denied", decision=decision)))
    found = await make().get_approval("apr_1")
    assert not found
    assert (found.code, found.reason) == ("changes_requested", "At most 300")
