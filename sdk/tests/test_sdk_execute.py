"""Check, wait, claim, act, log: what a callback is given, and what is known of it afterwards."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
from conftest import KEY
from scripted_warden import ALLOWED, DENIED, PENDING, Reply, ScriptedWarden, approval, claimed

from agentwarden import (
    AgentWarden,
    AgentWardenError,
    ApprovalRequiredError,
    AsyncAgentWarden,
    NetworkError,
    PermissionDeniedError,
    ValidationError,
)


class Failed(Exception):
    def __init__(self, message: str, code: Any = None) -> None:
        super().__init__(message)
        self.code = code


def never() -> None:
    raise AssertionError("this must not run")


async def test_an_allowed_callback_runs_and_is_logged(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body={**ALLOWED, "decision_id": "dec_7"}))
    assert await make().execute("bot", "x.y", lambda: 42, {"amount": 1}) == 42
    [logged] = warden.logs
    assert (logged.body["status"], logged.body["decision_id"]) == ("success", "dec_7")
    assert logged.body["context"]["amount"] == 1
    assert logged.body["context"]["duration_ms"] >= 0


async def test_a_callback_may_be_async(warden: ScriptedWarden) -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    warden.script(Reply(body=ALLOWED))
    async with AsyncAgentWarden(KEY, warden.url) as guard:
        assert await guard.execute("bot", "x.y", answer) == 42
    with AgentWarden(KEY, warden.url) as blocking:
        with pytest.raises(ValidationError, match="AsyncAgentWarden"):
            blocking.execute("bot", "x.y", answer)
        with pytest.raises(ValidationError, match="AsyncAgentWarden"):
            blocking.execute("bot", "x.y", lambda: answer())
        with pytest.raises(ValidationError, match="AsyncAgentWarden"):
            blocking.protect("x.y", agent_id="bot")(answer)
    assert [seen.body["status"] for seen in warden.logs] == ["success", "failed"]


async def test_a_denied_callback_does_not_run(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=DENIED))
    with pytest.raises(PermissionDeniedError) as caught:
        await make().execute("bot", "x.y", never)
    assert (caught.value.action, caught.value.reason) == ("x.y", DENIED["reason"])
    assert warden.logs[0].body["status"] == "blocked"
    assert warden.logs[0].body["context"] == {"reason": DENIED["reason"]}


async def test_a_pending_callback_does_not_run_and_names_the_approval(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=PENDING))
    with pytest.raises(ApprovalRequiredError) as caught:
        await make().execute("bot", "x.y", never)
    error = caught.value
    assert (error.action, error.approval_id, error.approval_url) == ("x.y", "apr_1", PENDING["approval_url"])
    assert (warden.logs[0].body["status"], warden.logs[0].body["approval_id"]) == ("pending_approval", "apr_1")


@pytest.mark.parametrize("reply", [Reply(503, b""), Reply(401, {"detail": "Invalid API key"}), Reply(body=b"{}")])
async def test_without_an_answer_nothing_runs(make: Any, warden: ScriptedWarden, reply: Reply) -> None:
    warden.script(reply)
    with pytest.raises(AgentWardenError):
        await make(max_retries=0).execute("bot", "x.y", never)
    assert warden.logs == []


@pytest.mark.parametrize(("code", "told"), [("card_declined", "card_declined"), (402, 402), (True, None), ({}, None)])
async def test_a_failing_callback_is_logged_and_raised_again(
    make: Any, warden: ScriptedWarden, code: Any, told: Any
) -> None:
    def fail() -> None:
        raise Failed(f"no money, and the key is {KEY}", code)

    warden.script(Reply(body=ALLOWED))
    with pytest.raises(Failed, match="no money"):
        await make().execute("bot", "x.y", fail, {"amount": 1})
    [logged] = warden.logs
    assert logged.body["status"] == "failed"
    error = {"type": "Failed", "message": "no money, and the key is [key]", "code": told}
    assert logged.body["context"] == {"amount": 1, "error": error}


@pytest.mark.parametrize(
    "trouble", [Reply(hang_up=True), Reply(500, b""), Reply(422, {"detail": "no"}), Reply(body=b"")]
)
async def test_a_log_that_fails_hides_neither_value_nor_exception(
    make: Any, warden: ScriptedWarden, trouble: Reply
) -> None:
    def fail() -> None:
        raise Failed("no money")

    warden.script(Reply(body=ALLOWED))
    warden.script_logs(trouble)
    guard = make(max_retries=1)
    assert await guard.execute("bot", "x.y", lambda: 42) == 42
    with pytest.raises(Failed, match="no money"):
        await guard.execute("bot", "x.y", fail)
    warden.script(Reply(body=DENIED))
    with pytest.raises(PermissionDeniedError):
        await guard.execute("bot", "x.y", never)


def test_a_callback_that_closes_the_client_still_returns_its_value(warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    with AgentWarden(KEY, warden.url) as blocking:
        assert blocking.execute("bot", "x.y", lambda: blocking.close() or 42) == 42


async def test_an_outcome_that_could_not_be_logged_is_sent_later_once(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    warden.script_logs(Reply(503, b""))
    guard = make(max_retries=0)
    await guard.execute("bot", "x.y", lambda: 42, {"n": 1})
    failed = len(warden.logs)
    warden.script_logs(Reply(body={"detail": "not read"}))
    await guard.check("bot", "x.y")
    await guard.check("bot", "x.y")
    assert len(warden.logs) == failed + 1
    assert warden.logs[-1].body["context"]["n"] == 1
    assert warden.logs[-1].headers["idempotency-key"] == warden.logs[0].headers["idempotency-key"]


async def test_an_interrupted_callback_is_logged_as_failed(make: Any, warden: ScriptedWarden) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    warden.script(Reply(body=ALLOWED))
    with pytest.raises(KeyboardInterrupt):
        await make().execute("bot", "x.y", interrupt)
    assert warden.logs[0].body["context"]["error"]["type"] == "KeyboardInterrupt"


async def test_a_cancelled_callback_is_logged_as_failed(warden: ScriptedWarden) -> None:
    started = asyncio.Event()

    async def slow() -> None:
        started.set()
        await asyncio.sleep(60)

    warden.script(Reply(body=ALLOWED))
    async with AsyncAgentWarden(KEY, warden.url) as guard:
        task = asyncio.create_task(guard.execute("bot", "x.y", slow))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [seen.body["context"]["error"]["type"] for seen in warden.logs] == ["CancelledError"]


async def test_waiting_claims_once_and_acts_on_what_was_approved(make: Any, warden: ScriptedWarden) -> None:
    edited = {"amount": 300}
    warden.script(
        Reply(body=PENDING),
        Reply(body=approval("pending")),
        Reply(body=approval("approved", effective_context=edited)),
        Reply(hang_up=True),
        Reply(body=claimed(edited)),
    )
    assert await make().execute("bot", "x.y", lambda context: context["amount"], {"amount": 500}, wait=True) == 300
    claims = [seen for seen in warden.seen if seen.path.endswith("/claim")]
    assert len(claims) == 2
    assert len({seen.headers["idempotency-key"] for seen in claims}) == 1
    [logged] = warden.logs
    assert (logged.body["status"], logged.body["approval_id"]) == ("success", "apr_1")
    assert logged.body["context"]["amount"] == 300


async def test_the_callback_gets_a_plain_copy_of_its_context(make: Any, warden: ScriptedWarden) -> None:
    context = {"amount": 5, "lines": [1, 2]}

    def change(approved: dict[str, Any]) -> None:
        approved["lines"].append(3)

    warden.script(Reply(body=ALLOWED))
    await make().execute("bot", "x.y", change, context)
    assert context == {"amount": 5, "lines": [1, 2]}


async def test_changes_are_not_lost_on_a_callback_that_cannot_see_them(make: Any, warden: ScriptedWarden) -> None:
    edited = approval("approved", effective_context={"amount": 300})
    warden.script(Reply(body=PENDING), Reply(body=edited))
    with pytest.raises(PermissionDeniedError, match="changes") as caught:
        await make().execute("bot", "x.y", never, {"amount": 500}, wait=True)
    assert caught.value.approval_id == "apr_1"
    assert not [seen for seen in warden.seen if seen.path.endswith("/claim")]
    warden.script(Reply(body={**ALLOWED, "approval_id": "apr_1", "effective_context": {"amount": 300}}))
    with pytest.raises(PermissionDeniedError, match="changes"):
        await make().execute("bot", "x.y", never, {"amount": 500})
    assert {seen.body["status"] for seen in warden.logs} == {"blocked"}


async def test_the_same_context_told_otherwise_is_no_change(make: Any, warden: ScriptedWarden) -> None:
    told = {"amount": 500, "paid": True, "lines": [{"n": 1}]}
    asked = {"lines": [{"n": 1.0}], "paid": True, "amount": 500.0}
    warden.script(Reply(body=PENDING), Reply(body=approval("approved")), Reply(body=claimed(told)))
    assert await make().execute("bot", "x.y", lambda: 42, asked, wait=True) == 42
    warden.script(Reply(body=PENDING), Reply(body=approval("approved")), Reply(body=claimed({**told, "paid": 1})))
    with pytest.raises(PermissionDeniedError, match="changes"):
        await make().execute("bot", "x.y", never, asked, wait=True)


async def test_a_repeated_check_that_was_approved_goes_ahead(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body={**ALLOWED, "approval_id": "apr_1", "status": "approved"}))
    assert await make().execute("bot", "x.y", lambda: 42, {"amount": 500}) == 42
    assert warden.logs[0].body["approval_id"] == "apr_1"


@pytest.mark.parametrize("status", ["denied", "expired", "cancelled"])
async def test_what_nobody_approved_does_not_run(make: Any, warden: ScriptedWarden, status: str) -> None:
    warden.script(Reply(body=PENDING), Reply(body=approval(status, decision={"status": status, "reason": None})))
    with pytest.raises(PermissionDeniedError, match=status) as caught:
        await make().execute("bot", "x.y", never, wait=True)
    assert caught.value.code == status
    assert (warden.logs[0].body["status"], warden.logs[0].body["approval_id"]) == ("denied", "apr_1")


async def test_what_nobody_decided_in_time_does_not_run(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=PENDING), Reply(body=approval("pending")))
    with pytest.raises(ApprovalRequiredError):
        await make().execute("bot", "x.y", never, wait=True, wait_timeout=0.1)


@pytest.mark.parametrize("code", ["already_claimed", "approval_expired", "policy_changed"])
async def test_what_cannot_be_claimed_does_not_run(make: Any, warden: ScriptedWarden, code: str) -> None:
    taken = Reply(409, {"detail": "Too late", "code": code})
    warden.script(Reply(body=PENDING), Reply(body=approval("approved")), taken)
    with pytest.raises(PermissionDeniedError, match="Too late") as caught:
        await make().execute("bot", "x.y", never, wait=True)
    assert caught.value.code == code
    assert warden.logs[0].body["status"] == "blocked"


async def test_a_claim_nobody_answers_does_not_run(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=PENDING), Reply(body=approval("approved")), Reply(hang_up=True))
    with pytest.raises(NetworkError):
        await make(max_retries=1).execute("bot", "x.y", never, wait=True)


def test_defaults_partials_and_builtins_are_called_bare(guard: AgentWarden, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    assert guard.execute("bot", "x.y", lambda n=7: n, {"amount": 1}) == 7
    assert guard.execute("bot", "x.y", functools.partial(max, 1, 2), {"amount": 1}) == 2
    assert guard.execute("bot", "x.y", dict, {"amount": 1}) == {}
    assert guard.execute("bot", "x.y", functools.partial(lambda a, b: (a, b), 1), {"amount": 1}) == (1, {"amount": 1})
    with pytest.raises(ValidationError):
        guard.execute("bot", "x.y", 42)  # type: ignore[arg-type]


async def decorated(kind: str, warden: ScriptedWarden, function: Any, *args: Any, how: Any, **kwargs: Any) -> Any:
    """Calls the function through the decorator of either client."""
    if kind == "sync":
        with AgentWarden(KEY, warden.url, backoff=0.001) as guard:
            return guard.protect("x.y", agent_id="bot", **how)(function)(*args, **kwargs)
    async with AsyncAgentWarden(KEY, warden.url, backoff=0.001) as guard:

        @functools.wraps(function)
        async def later(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return await guard.protect("x.y", agent_id="bot", **how)(later)(*args, **kwargs)


kinds = pytest.mark.parametrize("kind", ["sync", "async"])


def refund(order: str, amount: float = 10, *, note: str = "") -> tuple[str, float, str]:
    """Pays money back."""
    return order, amount, note


@kinds
async def test_a_protected_function_asks_with_its_arguments(kind: str, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    assert await decorated(kind, warden, refund, "o-1", how={}, note="late") == ("o-1", 10, "late")
    assert warden.seen[0].body["context"] == {"order": "o-1", "amount": 10, "note": "late"}


@kinds
async def test_a_protected_function_asks_with_the_context_it_is_told(kind: str, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    how = {"context": lambda order, amount: {"sum": amount}}
    assert await decorated(kind, warden, refund, "o-1", 5, how=how) == ("o-1", 5, "")
    assert await decorated(kind, warden, refund, "o-1", 5, how={"context": {"fixed": 1}}) == ("o-1", 5, "")
    assert [seen.body["context"] for seen in warden.seen] == [{"sum": 5}, {"fixed": 1}]


@kinds
async def test_a_protected_function_says_why_it_asks_and_until_when(kind: str, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    await decorated(kind, warden, refund, "o-1", how={"reasoning": "The parcel was lost", "expires_in": 60})
    assert (warden.seen[0].body["reasoning"], warden.seen[0].body["expires_in"]) == ("The parcel was lost", 60)


@kinds
async def test_a_protected_function_runs_with_what_was_approved(kind: str, warden: ScriptedWarden) -> None:
    edited = {"order": "o-1", "amount": 3, "note": ""}
    warden.script(Reply(body=PENDING), Reply(body=approval("approved")), Reply(body=claimed(edited)))
    assert await decorated(kind, warden, refund, "o-1", 5, how={"wait": True}) == ("o-1", 3, "")


@kinds
async def test_changes_that_fit_no_argument_are_refused(kind: str, warden: ScriptedWarden) -> None:
    edited = {"order": "o-1", "amount": 5, "note": "", "more": 1}
    warden.script(Reply(body=PENDING), Reply(body=approval("approved")), Reply(body=claimed(edited)))
    with pytest.raises(ValidationError, match="other arguments"):
        await decorated(kind, warden, refund, "o-1", 5, how={"wait": True})
    warden.script(Reply(body=PENDING), Reply(body=approval("approved")), Reply(body=claimed({"sum": 1})))
    with pytest.raises(PermissionDeniedError, match="changes"):
        await decorated(kind, warden, refund, "o-1", 5, how={"wait": True, "context": {"sum": 5}})


@kinds
async def test_a_protected_function_that_is_denied_does_not_run(kind: str, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=DENIED))
    with pytest.raises(PermissionDeniedError):
        await decorated(kind, warden, lambda: never(), how={})


@kinds
async def test_arguments_json_cannot_hold_need_a_context(kind: str, warden: ScriptedWarden) -> None:
    with pytest.raises(ValidationError, match="arguments"):
        await decorated(kind, warden, refund, object(), how={})
    assert warden.seen == []


def test_a_protected_function_keeps_its_name_and_methods_work(guard: AgentWarden, warden: ScriptedWarden) -> None:
    class Till:
        @guard.protect("x.y", agent_id="bot")
        def pay(self, amount: int, *rest: int, **more: int) -> int:
            """Pays."""
            return amount + sum(rest) + sum(more.values())

    warden.script(Reply(body=ALLOWED))
    assert Till.pay.__name__ == "pay"
    assert Till.pay.__doc__ == "Pays."
    assert Till().pay(1, 2, 3, b=4) == 10
    assert warden.seen[0].body["context"] == {"amount": 1, "rest": [2, 3], "more": {"b": 4}}
    with pytest.raises(TypeError):
        Till().pay()  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        guard.protect("x.y", agent_id="bot", context=7)(refund)  # type: ignore[arg-type]
