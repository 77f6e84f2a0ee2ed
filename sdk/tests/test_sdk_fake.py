"""The double: it answers as the server does, for both clients."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Both

from agentwarden import (
    AgentNotFoundError,
    APIError,
    ApprovalRequiredError,
    AuthenticationError,
    NetworkError,
    PermissionDeniedError,
    RateLimitError,
    ValidationError,
)
from agentwarden.testing import FakeWarden


@pytest.fixture
def fake() -> FakeWarden:
    fake = FakeWarden()
    fake.allow("stripe.refund", up_to=50)
    fake.ask("stripe.refund", up_to=1000)
    return fake


@pytest.fixture(params=["sync", "async"])
async def connect(request: pytest.FixtureRequest) -> Any:
    made: list[Both] = []

    def factory(fake: FakeWarden, **options: Any) -> Both:
        made.append(Both(fake.client(**options) if request.param == "sync" else fake.async_client(**options)))
        return made[-1]

    yield factory
    for client in made:
        await client.close()


Connect = Callable[..., Any]


async def test_the_smallest_tier_that_holds_the_amount_decides(connect: Connect, fake: FakeWarden) -> None:
    guard = connect(fake)
    assert await guard.check("bot", "stripe.refund", {"amount": 50})
    asked = await guard.check("bot", "stripe.refund", {"amount": 50.01})
    assert asked.requires_approval
    assert asked.reason == "This action requires human approval"
    over = await guard.check("bot", "stripe.refund", {"amount": 1500})
    assert over.reason == "Amount 1500.00 exceeds maximum allowed 1000.00"
    unknown = await guard.check("bot", "x.y")
    assert unknown.reason == "No permission for action 'x.y'"
    assert [check.outcome for check in fake.checks] == ["allow", "ask", "deny", "deny"]
    assert fake.pending == [asked.approval_id]


@pytest.mark.parametrize("context", [None, {}, {"amount": "50"}, {"amount": -1}, {"amount": True}, {"amount": None}])
async def test_without_a_usable_amount_a_tier_denies(connect: Connect, fake: FakeWarden, context: Any) -> None:
    assert not await connect(fake).check("bot", "stripe.refund", context)


async def test_deny_wins_and_a_rule_without_maximum_comes_last(connect: Connect, fake: FakeWarden) -> None:
    guard = connect(fake)
    fake.ask("stripe.refund")
    assert (await guard.check("bot", "stripe.refund", {"amount": 9999})).requires_approval
    assert await guard.check("bot", "stripe.refund", {"amount": 5})
    fake.deny("stripe.refund", reason="Not today")
    assert (await guard.check("bot", "stripe.refund", {"amount": 5})).reason == "Not today"


async def test_a_person_decides_while_the_agent_waits(connect: Connect, fake: FakeWarden) -> None:
    guard = connect(fake)
    asked = await guard.check("bot", "stripe.refund", {"amount": 300})
    decide = threading.Timer(0.2, fake.approve, (asked.approval_id,), {"reason": "fine", "by": "ada@example.com"})
    decide.start()
    started = time.monotonic()
    found = await guard.wait_for_approval(asked.approval_id, timeout=20)
    decide.join()
    assert (found.approved, found.reason, found.decided_by) == (True, "fine", "ada@example.com")
    assert time.monotonic() - started < 5
    first = await guard.claim(asked.approval_id, "once")
    assert (await guard.claim(asked.approval_id, "once")).claimed_at == first.claimed_at
    with pytest.raises(APIError) as caught:
        await guard.claim(asked.approval_id, "twice")
    assert caught.value.code == "already_claimed"
    assert fake.claims == [asked.approval_id]


async def test_repeating_a_check_is_how_a_simple_agent_waits(connect: Connect, fake: FakeWarden) -> None:
    guard = connect(fake)
    call = ("bot", "stripe.refund", {"amount": 300})
    first = await guard.check(*call)
    assert (await guard.check(*call)).approval_id == first.approval_id
    fake.approve(first.approval_id)
    assert await guard.check(*call)
    again = await guard.check(*call)
    assert again.requires_approval
    assert again.approval_id != first.approval_id
    fake.reject(again.approval_id, reason="Once is enough")
    assert (await guard.check(*call)).reason == "Once is enough"


async def test_execute_waits_for_the_scripted_person(connect: Connect) -> None:
    fake = FakeWarden()
    fake.ask("x.y", decide="approved")
    fake.ask("x.z", decide="denied")
    guard = connect(fake)
    assert await guard.execute("bot", "x.y", lambda: 42, wait=True) == 42
    with pytest.raises(PermissionDeniedError):
        await guard.execute("bot", "x.z", lambda: 42, wait=True)
    assert [log.status for log in fake.logs] == ["success", "denied"]


async def test_what_was_approved_otherwise_reaches_the_callback(connect: Connect, fake: FakeWarden) -> None:
    guard = connect(fake)
    with pytest.raises(ApprovalRequiredError) as caught:
        await guard.execute("bot", "stripe.refund", lambda: None, {"amount": 500})
    fake.approve(caught.value.approval_id, effective_context={"amount": 300})
    again = await guard.check("bot", "stripe.refund", {"amount": 500})
    assert (again.allowed, again.code, again.approved_otherwise) == (False, "edited", True)
    with pytest.raises(PermissionDeniedError, match="takes no argument"):
        await guard.execute("bot", "stripe.refund", lambda: None, {"amount": 500})
    assert fake.claims == []  # what nobody could act upon is not used up
    assert await guard.execute("bot", "stripe.refund", lambda c: c["amount"], {"amount": 500}) == 300
    assert fake.claims == [caught.value.approval_id]


async def test_an_approval_ends_once(connect: Connect, fake: FakeWarden) -> None:
    guard = connect(fake)
    ids = [(await guard.check("bot", "stripe.refund", {"amount": n})).approval_id for n in (100, 200, 300)]
    fake.expire(ids[0])
    await guard.cancel(ids[1])
    fake.reject(ids[2])
    assert [(await guard.get_approval(one)).status for one in ids] == ["expired", "cancelled", "denied"]
    for one in (*ids, "apr_none", None):
        with pytest.raises(ValidationError, match="No pending approval"):
            fake.approve(one)
    with pytest.raises(APIError) as caught:
        await guard.claim(ids[0])
    assert caught.value.code == "approval_expired"
    assert (await guard.cancel(ids[1])).status == "cancelled"
    with pytest.raises(APIError) as late:
        await guard.cancel(ids[2])
    assert late.value.code == "already_decided"
    for method in (guard.get_approval, guard.claim, guard.cancel):
        with pytest.raises(APIError, match="not found"):
            await method("apr_none")


async def test_a_key_gets_the_same_answer_and_no_other_body(connect: Connect, fake: FakeWarden) -> None:
    guard = connect(fake)
    first = await guard.check("bot", "stripe.refund", {"amount": 5}, idempotency_key="k")
    assert (await guard.check("bot", "stripe.refund", {"amount": 5}, idempotency_key="k")).decision_id == (
        first.decision_id
    )
    with pytest.raises(ValidationError, match="another body"):
        await guard.check("bot", "stripe.refund", {"amount": 6}, idempotency_key="k")


async def test_trouble_can_be_scripted(connect: Connect, fake: FakeWarden) -> None:
    guard = connect(fake, max_retries=1)
    fake.fail(503, times=1)
    assert await guard.check("bot", "stripe.refund", {"amount": 5})
    fake.fail(429, retry_after=30)
    with pytest.raises(RateLimitError):
        await guard.check("bot", "stripe.refund", {"amount": 5})
    fake.reconnect()
    fake.disconnect(times=2)
    with pytest.raises(NetworkError):
        await guard.check("bot", "stripe.refund", {"amount": 5})
    assert await guard.check("bot", "stripe.refund", {"amount": 5})
    with pytest.raises(AuthenticationError):
        await connect(fake, api_key="test_some_other_key").check("bot", "x.y")
    with pytest.raises(AgentNotFoundError):
        await connect(FakeWarden(agents=["bot"])).check("stranger", "x.y")
    with pytest.raises(ValidationError):
        fake.ask("x.y", decide="perhaps")  # type: ignore[arg-type]


async def test_what_happened_is_recorded(connect: Connect, fake: FakeWarden) -> None:
    guard = connect(fake, cache_ttl=30)
    for _ in range(2):
        await guard.check("bot", "stripe.refund", {"amount": 5}, reasoning="a late parcel")
    await guard.log("bot", "stripe.refund", "success", {"amount": 5}, decision_id="dec_1")
    [check], [log] = fake.checks, fake.logs
    assert (check.agent_id, check.context, check.reasoning) == ("bot", {"amount": 5}, "a late parcel")
    assert (log.status, log.decision_id) == ("success", "dec_1")


async def test_a_hundred_tasks_wait_for_one_person(fake: FakeWarden) -> None:
    async with fake.async_client() as guard:
        asked = [await guard.check("bot", "stripe.refund", {"amount": 100 + n}) for n in range(100)]
        waits = [asyncio.create_task(guard.wait_for_approval(one.approval_id or "", timeout=30)) for one in asked]
        await asyncio.sleep(0.1)
        for approval_id in fake.pending:
            fake.approve(approval_id)
        assert all(await asyncio.gather(*waits))
        one = await guard.check("bot", "stripe.refund", {"amount": 999})
        assert (await guard.wait_for_approval(one.approval_id or "", timeout=1.1)).pending
    assert fake._waiters == []
