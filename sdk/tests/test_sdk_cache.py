"""Answers from memory: only what the server marked, only for a while, never across a change of policy."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from scripted_warden import ALLOWED, DENIED, PENDING, Reply, ScriptedWarden

from agentwarden import AuthenticationError, CheckResult, ValidationError
from agentwarden._cache import Cache

KEEP = {**ALLOWED, "cacheable": True}


async def test_a_cacheable_answer_is_given_from_memory(make: Any, warden: ScriptedWarden) -> None:
    guard = make(cache_ttl=30)
    for body in (KEEP, {**DENIED, "cacheable": True, "policy_version": "v1"}):
        warden.script(Reply(body=body))
        asked = len(warden.seen)
        first = await guard.check("bot", f"x.{asked}", {"a": 1, "b": [2]})
        again = await guard.check("bot", f"x.{asked}", {"b": [2], "a": 1})
        assert (first.cached, again.cached) == (False, True)
        assert first.allowed is again.allowed
        assert len(warden.seen) == asked + 1


@pytest.mark.parametrize(
    "body",
    [
        ALLOWED,
        {**KEEP, "cacheable": False},
        {**KEEP, "policy_version": None},
        {**KEEP, "approval_id": "apr_1"},
        {**PENDING, "cacheable": True, "policy_version": "v1"},
        {**DENIED, "cacheable": True, "policy_version": "v1", "approval_id": "apr_1"},
    ],
    ids=repr,
)
async def test_anything_else_is_asked_again(make: Any, warden: ScriptedWarden, body: Any) -> None:
    guard = make(cache_ttl=30)
    warden.script(Reply(body=body))
    await guard.check("bot", "x.y")
    await guard.check("bot", "x.y")
    assert len(warden.seen) == 2


async def test_the_cache_is_off_unless_asked_for(make: Any, warden: ScriptedWarden) -> None:
    guard = make()
    warden.script(Reply(body=KEEP))
    await guard.check("bot", "x.y")
    await guard.check("bot", "x.y")
    assert len(warden.seen) == 2


async def test_agent_action_and_context_tell_answers_apart(make: Any, warden: ScriptedWarden) -> None:
    guard = make(cache_ttl=30)
    warden.script(Reply(body=KEEP))
    calls = [("a", "x.y", None), ("b", "x.y", None), ("a", "x.z", None), ("a", "x.y", {}), ("a", "x.y", {"n": 1})]
    calls += [("a", "x.y", {"n": 1.0}), ("a", "x.y", {"n": True}), ("a", "x.y", {"n": "1"})]
    for call in calls:
        await guard.check(*call)
    assert len(warden.seen) == len(calls)


async def test_an_explicit_key_is_never_answered_from_memory(make: Any, warden: ScriptedWarden) -> None:
    guard = make(cache_ttl=30)
    warden.script(Reply(body=KEEP))
    await guard.check("bot", "x.y")
    await guard.check("bot", "x.y", idempotency_key="mine")
    assert len(warden.seen) == 2


async def test_a_new_policy_puts_old_answers_out_of_reach(make: Any, warden: ScriptedWarden) -> None:
    guard = make(cache_ttl=30)
    warden.script(Reply(body=KEEP))
    await guard.check("bot", "x.y")
    warden.script(Reply(body={**DENIED, "policy_version": "v2"}))
    await guard.check("bot", "other.action")
    assert not await guard.check("bot", "x.y")


async def test_a_refused_key_and_clear_cache_empty_it(make: Any, warden: ScriptedWarden) -> None:
    guard = make(cache_ttl=30)
    for forget in ("clear", "401"):
        warden.script(Reply(body=KEEP))
        assert await guard.check("bot", "x.y")
        if forget == "clear":
            await guard.clear_cache()
        else:
            warden.script(Reply(401, {"detail": "Invalid API key"}))
            with pytest.raises(AuthenticationError):
                await guard.check("bot", "x.z")
        warden.script(Reply(body=DENIED))
        assert not await guard.check("bot", "x.y")


@pytest.mark.parametrize("ttl", [-1, 61, float("nan"), "30", True])
async def test_a_ttl_is_at_most_a_minute(make: Any, ttl: Any) -> None:
    with pytest.raises(ValidationError, match="cache_ttl"):
        make(cache_ttl=ttl)


ANSWER = CheckResult(True, False, policy_version="v1", cacheable=True)  # noqa: FBT003


def put(cache: Cache, action: str, result: CheckResult = ANSWER, at: float = 0.0) -> None:
    cache.put("bot", action, "{}", result, asked_at=at, generation=cache.generation)


def test_answers_age_from_when_they_were_asked_for() -> None:
    now = 0.0
    cache = Cache(30, 10, clock=lambda: now)
    put(cache, "x.y", at=-5)
    now = 24.9
    assert cache.get("bot", "x.y", "{}")
    now = 25.0
    assert cache.get("bot", "x.y", "{}") is None
    assert len(cache) == 0


def test_the_least_recently_used_goes_first() -> None:
    cache = Cache(30, 2, clock=lambda: 0)
    put(cache, "a")
    put(cache, "b")
    cache.get("bot", "a", "{}")
    put(cache, "c")
    assert cache.get("bot", "a", "{}")
    assert cache.get("bot", "b", "{}") is None
    assert len(cache) == 2


def test_an_answer_asked_for_before_a_clear_is_not_kept_after_it() -> None:
    cache = Cache(30, 2, clock=lambda: 0)
    generation = cache.generation
    cache.clear()
    cache.put("bot", "x.y", "{}", ANSWER, asked_at=0, generation=generation)
    assert cache.get("bot", "x.y", "{}") is None


def test_threads_share_it() -> None:
    cache = Cache(30, 50, clock=lambda: 0)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(500):
                put(cache, f"a{(number * 7 + turn) % 80}")
                cache.get("bot", f"a{turn % 80}", "{}")
                if turn % 100 == 0:
                    cache.clear()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(cache) <= 50
