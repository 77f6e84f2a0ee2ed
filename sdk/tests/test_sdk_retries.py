"""Trying again: when, how often, for how long, and under which key."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from conftest import KEY
from hypothesis import given
from hypothesis import strategies as st
from scripted_warden import ALLOWED, LOGGED, Reply, ScriptedWarden, claimed, closed_port

from agentwarden import AgentWarden, AgentWardenError, APIError, AsyncAgentWarden, NetworkError, RateLimitError
from agentwarden._retry import LONGEST_RETRY_AFTER, RetryPolicy, parse_retry_after, retryable, unreachable

BROKEN = Reply(hang_up=True)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_passing_trouble_is_retried_under_one_key(make: Any, warden: ScriptedWarden, status: int) -> None:
    warden.script(Reply(status, {"detail": "busy"}), BROKEN, Reply(status, b"<html>"), Reply(body=ALLOWED))
    assert await make().check("bot", "x.y", {"amount": 1})
    assert len(warden.seen) == 4
    assert len({seen.headers["idempotency-key"] for seen in warden.seen}) == 1
    assert all(seen.body == warden.seen[0].body for seen in warden.seen)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 501, 505, 302, 204])
async def test_an_answer_that_would_not_change_is_not_asked_for_again(
    make: Any, warden: ScriptedWarden, status: int
) -> None:
    warden.script(Reply(status, b"" if status == 204 else {"detail": "no"}), Reply(body=ALLOWED))
    with pytest.raises(AgentWardenError):
        await make().check("bot", "x.y")
    assert len(warden.seen) == 1


async def test_retries_end(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(503, {"detail": "The decision could not be made durable"}))
    with pytest.raises(APIError, match="durable"):
        await make(max_retries=2).check("bot", "x.y")
    assert len(warden.seen) == 3
    with pytest.raises(APIError):
        await make(max_retries=0).check("bot", "x.y")
    assert len(warden.seen) == 4


async def test_a_cut_answer_is_retried_and_never_an_allow(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED, cut=5), Reply(body=ALLOWED, cut=1), Reply(body=ALLOWED))
    assert await make().check("bot", "x.y")
    assert len(warden.seen) == 3
    warden.script(Reply(body=ALLOWED, cut=1))
    with pytest.raises(NetworkError):
        await make().check("bot", "x.y")


async def test_nobody_listening_is_a_network_error(make: Any) -> None:
    with pytest.raises(NetworkError, match="could not be reached"):
        await make(closed_port()).check("bot", "x.y")


async def test_a_hung_attempt_leaves_time_for_another(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED, delay=1.5), Reply(body=ALLOWED))
    started = time.monotonic()
    assert await make(timeout=1.0).check("bot", "x.y")
    assert time.monotonic() - started < 1.0
    assert len(warden.seen) == 2


async def test_the_timeout_bounds_the_whole_call(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED, delay=2))
    started = time.monotonic()
    with pytest.raises(NetworkError, match="did not answer"):
        await make(timeout=0.6, max_retries=20).check("bot", "x.y")
    assert time.monotonic() - started < 1.2


async def test_an_answer_that_drips_does_not_outlive_the_timeout(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED, drip=0.05))
    started = time.monotonic()
    with pytest.raises(NetworkError, match="did not answer"):
        await make(timeout=0.5, max_retries=0).check("bot", "x.y")
    assert time.monotonic() - started < 1.2


async def test_retry_after_is_honoured(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(429, {"detail": "slow down"}, {"Retry-After": "1"}), Reply(body=ALLOWED))
    assert await make().check("bot", "x.y")
    assert warden.seen[1].at - warden.seen[0].at >= 1.0


async def test_a_retry_after_beyond_the_timeout_is_told_at_once(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(429, {"detail": "slow down"}, {"Retry-After": "30"}))
    started = time.monotonic()
    with pytest.raises(RateLimitError) as caught:
        await make().check("bot", "x.y")
    assert caught.value.retry_after == 30
    assert time.monotonic() - started < 2
    assert len(warden.seen) == 1


async def test_logs_and_claims_are_retried_under_one_key_too(make: Any, warden: ScriptedWarden) -> None:
    guard = make()
    warden.script_logs(BROKEN, Reply(body=LOGGED))
    await guard.log("bot", "x.y", "success")
    warden.script(BROKEN, Reply(body=claimed()))
    await guard.claim("apr_1")
    for requests in (warden.logs, warden.seen):
        assert len(requests) == 2
        assert requests[0].headers["idempotency-key"] == requests[1].headers["idempotency-key"]


async def test_a_cancelled_task_stops_asking(warden: ScriptedWarden) -> None:
    warden.script(Reply(503, {"detail": "busy"}, {"Retry-After": "2"}))
    async with AsyncAgentWarden(KEY, warden.url) as guard:
        task = asyncio.create_task(guard.check("bot", "x.y"))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(warden.seen) == 1


def test_a_closed_client_does_not_allow(warden: ScriptedWarden) -> None:
    guard = AgentWarden(KEY, warden.url)
    guard.close()
    with pytest.raises(AgentWardenError, match="closed"):
        guard.check("bot", "x.y")


NOW = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("61", LONGEST_RETRY_AFTER),
        ("999999999", LONGEST_RETRY_AFTER),
        ("99999999999999999999", None),
        ("Wed, 21 Oct 2015 07:28:10 GMT", 10),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", LONGEST_RETRY_AFTER),
        ("Wed, 21 Oct 2015 07:28:10", 10),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("nan", None),
        ("inf", None),
        ("٣", None),
        ("soon", None),
        ("Wed, 99 Oct 2015 07:28:10 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_a_minute(value: str, seconds: float | None) -> None:
    assert parse_retry_after({"retry-after": value, "date": NOW}) == seconds


def test_without_the_servers_date_our_own_clock_is_asked() -> None:
    assert parse_retry_after({"retry-after": NOW}) == 0
    assert parse_retry_after({}) is None


@given(st.text())
def test_any_retry_after_is_within_bounds_or_ignored(value: str) -> None:
    seconds = parse_retry_after({"retry-after": value})
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER


@given(st.integers(min_value=0, max_value=5000))
def test_the_pause_is_random_up_to_a_growing_and_bounded_limit(attempt: int) -> None:
    policy = RetryPolicy(retries=10_000, base=0.5, cap=8)
    pause = policy.pause(attempt, NetworkError("gone"))
    assert pause is not None
    assert 0 <= pause <= min(8, 0.5 * 2 ** min(attempt, 10))


def test_pauses_are_spread() -> None:
    policy = RetryPolicy(retries=10, base=1, cap=8)
    pauses = [policy.backoff(3, NetworkError("gone")) for _ in range(200)]
    assert min(pauses) < 2
    assert max(pauses) > 6


def test_only_silence_and_server_errors_count_as_unreachable() -> None:
    assert unreachable(NetworkError("gone"))
    assert unreachable(APIError("", status_code=503))
    assert not unreachable(APIError("malformed", status_code=200))
    assert not unreachable(APIError("redirect", status_code=302))
    assert not unreachable(RateLimitError("", status_code=429))
    assert retryable(RateLimitError("", status_code=429))
    assert not retryable(APIError("", status_code=501))
