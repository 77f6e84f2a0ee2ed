"""Batches, errors as data, and the end of a client."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import pytest
from conftest import KEY
from scripted_warden import ALLOWED, PENDING, Reply, ScriptedWarden, approval

from agentwarden import (
    AgentWarden,
    AgentWardenError,
    BatchError,
    PermissionDeniedError,
    ValidationError,
    error_context,
)
from agentwarden.testing import FakeWarden


def contexts(warden: ScriptedWarden) -> list[tuple[str, dict[str, Any]]]:
    return [(seen.body["status"], seen.body["context"]) for seen in warden.logs]


async def test_a_batch_is_checked_once_run_for_each_and_logged_once(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    result = await make().batch("bot", "email.send_bulk", ["ann", "bob"], str.upper, {"subject": "Hi"})
    assert list(result.done) == [("ann", "ANN"), ("bob", "BOB")]
    assert [seen.body["context"] for seen in warden.seen] == [{"subject": "Hi", "count": 2}]
    [(status, context)] = contexts(warden)
    assert (status, context["count"], context["subject"]) == ("success", 2, "Hi")


async def test_items_that_fail_are_told_and_the_others_are_done(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))

    def divide(number: int) -> float:
        return 1 / number

    with pytest.raises(BatchError, match=r"1 of 3 of 'x.y' failed: ZeroDivisionError") as caught:
        await make().batch("bot", "x.y", [1, 0, 2], divide)
    assert list(caught.value.result.done) == [(1, 1.0), (2, 0.5)]
    assert [item for item, _ in caught.value.result.failed] == [0]
    [(status, context)] = contexts(warden)
    assert (status, context["error"]["type"]) == ("failed", "BatchError")


async def test_a_batch_that_is_denied_or_changed_runs_for_none(make: Any, warden: ScriptedWarden) -> None:
    ran: list[str] = []
    warden.script(Reply(body={**ALLOWED, "allowed": False}))
    with pytest.raises(PermissionDeniedError):
        await make().batch("bot", "x.y", ["ann"], ran.append)
    warden.script(Reply(body=PENDING), Reply(body=approval("approved", effective_context={"count": 1})))
    with pytest.raises(PermissionDeniedError, match="approved with changes"):
        await make().batch("bot", "x.y", ["ann", "bob"], ran.append, wait=True)
    with pytest.raises(ValidationError):
        await make().batch("bot", "x.y", ["ann"], ran.append, {"count": 7})
    assert ran == []


async def test_an_async_batch_awaits_each() -> None:
    fake = FakeWarden()
    fake.allow("x.y")

    async def double(number: int) -> int:
        return 2 * number

    async with fake.async_client() as guard:
        result = await guard.batch("bot", "x.y", range(3), double)
    assert [value for _, value in result.done] == [0, 2, 4]
    assert [log.status for log in fake.logs] == ["success"]


class DeclinedError(Exception):
    code = "card_declined"
    request_id = "req_9"


def failing(depth: int) -> None:
    if depth:
        failing(depth - 1)
    raise DeclinedError("declined; password=hunter2, Authorization: Bearer abcdefghijk, key ak_0123456789abcdef")


def test_an_error_is_told_without_credentials_and_not_at_length() -> None:
    with pytest.raises(DeclinedError) as caught:
        failing(60)
    told = error_context(caught.value, retry_count=2)
    assert (told["error_type"], told["error_code"], told["request_id"], told["retry_count"]) == (
        "DeclinedError",
        "card_declined",
        "req_9",
        2,
    )
    for text in (told["error_message"], told["traceback"]):
        assert "[redacted]" in text
        for secret in ("hunter2", "abcdefghijk", "ak_0123456789abcdef"):
            assert secret not in text
    assert "in failing" in told["traceback"]
    assert len(told["traceback"]) <= 4010
    assert told["traceback"].count("File ") <= 21
    assert error_context(ValueError("x" * 5000))["error_message"] == "x" * 2000
    assert error_context(ValueError("x")) == {"error_type": "ValueError", "error_message": "x"}
    assert "traceback" not in error_context(caught.value, with_traceback=False)


@pytest.mark.parametrize(
    "text",
    [
        'api_key="abc def"',
        "{'api-key': 'abc'}",
        "DB_PASSWORD=abc",
        "postgres://warden:abc@db/warden",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "sk_live_0123456789abcdef",
        "wpat_0123456789abcdef0123",
        "Basic YWJjOmFiYw==",
    ],
)
def test_what_looks_like_a_credential_is_redacted(text: str) -> None:
    told = error_context(ValueError(f"before {text} after"))["error_message"]
    assert "[redacted]" in told
    assert "abc" not in told.replace("[redacted]", "")
    assert told.startswith("before ")


async def test_a_closed_client_says_so(make: Any, warden: ScriptedWarden) -> None:
    guard = make()
    await guard.close()
    await guard.close()
    with pytest.raises(AgentWardenError, match="closed"):
        await guard.check("bot", "x.y")
    with pytest.raises(AgentWardenError, match="closed"):
        await guard.wait_for_approval("apr_1")


def test_a_program_that_ends_reports_what_it_owes(warden: ScriptedWarden) -> None:
    """Nobody closed the client: the interpreter's end does."""
    warden.script(Reply(body=ALLOWED))
    warden.script_logs(Reply(503), Reply())
    program = f"""
        from agentwarden import AgentWarden
        guard = AgentWarden({KEY!r}, {warden.url!r}, timeout=5, max_retries=0)
        guard.execute("bot", "x.y", lambda: None)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [seen.body["status"] for seen in warden.logs] == ["success", "success"]


def test_a_client_that_nobody_holds_is_not_kept_alive(warden: ScriptedWarden) -> None:
    import gc
    import weakref

    guard = AgentWarden(KEY, warden.url)
    seen = weakref.ref(guard)
    guard.close()
    del guard
    gc.collect()
    assert seen() is None
