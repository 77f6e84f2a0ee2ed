"""A check: what is sent, what is understood, and that nothing but a clear yes is one."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_warden import ALLOWED, DENIED, LOGGED, PENDING, Reply, ScriptedWarden

from agentwarden import (
    AgentNotFoundError,
    AgentWarden,
    AgentWardenError,
    APIError,
    AuthenticationError,
    CheckResult,
    PermissionDeniedError,
    RateLimitError,
    ValidationError,
)
from agentwarden._models import Answer, parse_check


async def test_an_allow_is_true_and_says_what_was_asked(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body={**ALLOWED, "audit": {"event_id": "e"}, "expires_at": "2025-01-02T03:04:05Z"}))
    result = await make().check("bot", "x.y", {"amount": 4.5}, reasoning="a late parcel", expires_in=60)
    assert result
    assert result.allowed is True
    assert result.expires_at == datetime(2025, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert result.audit == {"event_id": "e"}
    assert result.request_id == "req-7"
    [seen] = warden.seen
    assert (seen.method, seen.path) == ("POST", "/sdk/check")
    assert seen.body == {
        "agent_id": "bot",
        "action": "x.y",
        "context": {"amount": 4.5},
        "reasoning": "a late parcel",
        "expires_in": 60,
    }
    assert seen.headers["x-api-key"].startswith("test_")
    assert seen.headers["content-type"] == "application/json"
    assert len(seen.headers["idempotency-key"]) == 32


async def test_an_allow_by_a_grant_names_it(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body={**ALLOWED, "grant_id": "grt_1"}), Reply(body=ALLOWED))
    guard = make()
    assert [(await guard.check("bot", "x.y")).grant_id for _ in range(2)] == ["grt_1", None]


async def test_a_denial_is_false_and_has_a_reason(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=DENIED))
    result = await make().check("bot", "x.y")
    assert not result
    assert result.reason == "No permission for action 'x.y'"
    assert warden.seen[0].body["context"] is None


async def test_a_pending_check_is_false_and_names_the_approval(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=PENDING))
    result = await make().check("bot", "x.y")
    assert not result
    assert result.requires_approval
    assert result.approval_id == "apr_1"


async def test_each_check_has_its_own_idempotency_key(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    guard = make()
    for _ in range(3):
        await guard.check("bot", "x.y")
    await guard.check("bot", "x.y", idempotency_key="mine")
    keys = [seen.headers["idempotency-key"] for seen in warden.seen]
    assert len(set(keys)) == 4
    assert keys[-1] == "mine"


async def test_connections_are_reused(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    guard = make()
    for _ in range(5):
        await guard.check("bot", "x.y")
    assert len({seen.connection for seen in warden.seen}) == 1


NOT_AN_ALLOW = [
    b"",
    b"true",
    b"[]",
    b'"allowed"',
    b"{}",
    b'{"allowed": true}',
    b'{"requires_approval": false}',
    b'{"allowed": "true", "requires_approval": false}',
    b'{"allowed": 1, "requires_approval": false}',
    b'{"allowed": 1.0, "requires_approval": false}',
    b'{"allowed": null, "requires_approval": false}',
    b'{"allowed": [true], "requires_approval": false}',
    b'{"allowed": true, "requires_approval": "false"}',
    b'{"allowed": true, "requires_approval": 0}',
    b'{"allowed": true, "requires_approval": true, "approval_id": "apr_1"}',
    b'{"allowed": false, "requires_approval": true}',
    b'{"allowed": false, "allowed": true, "requires_approval": false}',
    b'{"allowed": true, "requires_approval": false, "allowed": true}',
    b'{"allowed": true, "requires_approval": false',
    b'{"allowed": true, "requires_approval": false} {}',
    b'{"allowed": true, "requires_approval": false, "x": NaN}',
    b'{"allowed": true, "requires_approval": false, "x": Infinity}',
    b'{"allowed": true, "requires_approval": false, "effective_context": {"amount": 1e400}}',
    b'{"allowed": true, "requires_approval": false, "effective_context": {"amount": -1e400}}',
    b'{"Allowed": true, "requires_approval": false}',
    b'{"data": {"allowed": true, "requires_approval": false}}',
    b'\xff\xfe{"allowed": true, "requires_approval": false}',
    b'{"allowed": true, "requires_approval": false, "reason": 7}',
    b'{"allowed": true, "requires_approval": false, "approval_id": {}}',
    b'{"allowed": true, "requires_approval": false, "expires_at": "tomorrow"}',
    b'{"allowed": true, "requires_approval": false, "expires_at": "2025-13-01T00:00:00Z"}',
    b'{"allowed": true, "requires_approval": false, "expires_at": "2025-01-01T00:00:00"}',
    b'{"allowed": true, "requires_approval": false, "audit": []}',
    b'{"allowed": true, "requires_approval": false, "effective_context": "x"}',
    b'{"allowed": true, "requires_approval": false, "cacheable": "yes"}',
    b"[" * 100_000,
    b'{"allowed": true, "requires_approval": false, "x": ' + b"9" * 10_000 + b"}",
]


@pytest.mark.parametrize("body", NOT_AN_ALLOW, ids=lambda body: body[:60].decode("latin-1"))
def test_an_answer_that_is_not_well_formed_is_never_an_allow(
    guard: AgentWarden, warden: ScriptedWarden, body: bytes
) -> None:
    warden.script(Reply(body=body))
    with pytest.raises(APIError, match="malformed") as caught:
        guard.check("bot", "x.y")
    assert caught.value.request_id == "req-7"
    assert len(warden.seen) == 1


@pytest.mark.parametrize(
    "kind", ["text/html", "text/plain", "", "application/jsonp", "text/html; application/json", "application/json-seq"]
)
async def test_json_that_is_not_declared_as_json_is_refused(make: Any, warden: ScriptedWarden, kind: str) -> None:
    warden.script(Reply(body=ALLOWED, headers={"Content-Type": kind}))
    with pytest.raises(APIError, match="malformed"):
        await make().check("bot", "x.y")


@pytest.mark.parametrize("status", [201, 202, 203, 204, 206, 226])
async def test_only_a_200_can_allow(make: Any, warden: ScriptedWarden, status: int) -> None:
    body = b"" if status == 204 else json.dumps(ALLOWED).encode()
    warden.script(Reply(status, body))
    with pytest.raises(APIError):
        await make().check("bot", "x.y")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_redirects_are_not_followed(make: Any, warden: ScriptedWarden, status: int) -> None:
    body = b"" if status == 304 else json.dumps(ALLOWED).encode()
    warden.script(Reply(status, body, {"Location": f"{warden.url}/elsewhere"}), Reply(body=ALLOWED))
    with pytest.raises(APIError, match="redirect"):
        await make().check("bot", "x.y")
    assert [seen.path for seen in warden.seen] == ["/sdk/check"]


async def test_an_endless_answer_is_cut_off(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=b" " * (4 * 1024 * 1024 + 1) + json.dumps(ALLOWED).encode()))
    with pytest.raises(APIError, match="more than"):
        await make().check("bot", "x.y")


async def test_broken_compression_is_refused(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(APIError, match="decompressed"):
        await make().check("bot", "x.y")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, APIError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, AgentNotFoundError),
        (409, APIError),
        (413, APIError),
        (418, APIError),
        (422, ValidationError),
        (429, RateLimitError),
        (500, APIError),
        (503, APIError),
    ],
)
async def test_each_refusal_has_its_error(
    make: Any, warden: ScriptedWarden, status: int, kind: type[AgentWardenError]
) -> None:
    warden.script(Reply(status, {"detail": "Because of this", "code": "short_name", **ALLOWED}))
    with pytest.raises(AgentWardenError) as caught:
        await make(max_retries=0).check("bot", "x.y")
    error = caught.value
    assert type(error) is kind
    assert (error.status_code, error.code, error.request_id) == (status, "short_name", "req-7")
    assert "req-7" in str(error)
    assert status == 404 or "Because of this" in str(error)


async def test_errors_name_the_agent_and_the_action(make: Any, warden: ScriptedWarden) -> None:
    guard = make()
    warden.script(Reply(404, {"detail": "Agent not found"}))
    with pytest.raises(AgentNotFoundError, match="'bot' not found") as missing:
        await guard.check("bot", "x.y")
    assert missing.value.agent_id == "bot"
    warden.script(Reply(403, {"detail": "This key speaks for another agent"}))
    with pytest.raises(PermissionDeniedError) as denied:
        await guard.check("bot", "x.y")
    assert (denied.value.action, denied.value.reason) == ("x.y", "This key speaks for another agent")


async def test_a_404_page_of_a_proxy_does_not_blame_the_agent(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(404, b"<h1>Not found</h1>", {"Content-Type": "text/html"}))
    with pytest.raises(APIError, match="404"):
        await make().check("bot", "x.y")


async def test_a_detail_of_fields_is_told_whole(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(422, {"detail": [{"loc": ["body", "agent_id"], "msg": "\ud800 too long"}]}))
    with pytest.raises(ValidationError, match="agent_id"):
        await make().check("bot", "x.y")


class Colour(Enum):
    RED = "red"


async def test_a_context_may_hold_what_programs_hold(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    uuid = UUID(int=7)
    context = {"a": Decimal("50.10"), "b": Decimal(7), "c": date(2025, 1, 2), "d": uuid, "e": Colour.RED, "f": "né"}
    await make().check("bot", "x.y", context)
    expected = {"a": 50.1, "b": 7, "c": "2025-01-02", "d": str(uuid), "e": "red", "f": "né"}
    assert warden.seen[0].body["context"] == expected


CIRCLE: dict[str, Any] = {}
CIRCLE["again"] = CIRCLE


@pytest.mark.parametrize(
    "context",
    [
        {"amount": float("nan")},
        {"amount": float("inf")},
        {"amount": Decimal("NaN")},
        {"amount": Decimal("0.1000000000000000055511151231")},
        {"note": "\ud800"},
        {"thing": object()},
        {"raw": b"bytes"},
        {1: "one"},
        ["amount"],
        "amount",
        CIRCLE,
    ],
    ids=lambda context: repr(context).partition(" at ")[0][:40],
)
def test_a_context_that_json_cannot_hold_is_refused_before_it_is_sent(
    guard: AgentWarden, warden: ScriptedWarden, context: Any
) -> None:
    with pytest.raises(ValidationError):
        guard.check("bot", "x.y", context)
    assert warden.seen == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"agent_id": ""},
        {"agent_id": None},
        {"action": " "},
        {"expires_in": 0},
        {"expires_in": 1.5},
        {"expires_in": True},
        {"reasoning": 7},
        {"idempotency_key": ""},
        {"idempotency_key": "a b"},
        {"idempotency_key": "x\r\nX-Evil: 1"},
        {"idempotency_key": "x" * 201},
    ],
    ids=repr,
)
def test_arguments_that_make_no_sense_are_refused(
    guard: AgentWarden, warden: ScriptedWarden, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        guard.check(**{"agent_id": "bot", "action": "x.y", **arguments})
    assert warden.seen == []


async def test_a_log_is_written_and_read_back(make: Any, warden: ScriptedWarden) -> None:
    entry = await make().log("bot", "x.y", "success", {"amount": 1}, "192.0.2.1", decision_id="dec_1")
    assert entry.id == "log_1"
    assert entry.created_at == datetime(2025, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc)
    assert warden.logs[0].body == {
        "agent_id": "bot",
        "action": "x.y",
        "status": "success",
        "context": {"amount": 1},
        "ip_address": "192.0.2.1",
        "decision_id": "dec_1",
    }


async def test_a_log_with_an_unknown_status_or_a_broken_answer_is_an_error(make: Any, warden: ScriptedWarden) -> None:
    guard = make()
    with pytest.raises(ValidationError, match="pending_approval"):
        await guard.log("bot", "x.y", "done")
    for broken in ({}, {**LOGGED, "id": None}, {**LOGGED, "created_at": "now"}, {**LOGGED, "created_at": None}):
        warden.script_logs(Reply(body=broken))
        with pytest.raises(APIError, match="malformed"):
            await guard.log("bot", "x.y", "success")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
fields = st.sampled_from(["allowed", "requires_approval", "reason", "approval_id", "expires_at", "audit", "cacheable"])


def read(status: int, kind: str, body: bytes) -> CheckResult | None:
    try:
        return parse_check(Answer(status, {"content-type": kind}, body))
    except APIError:
        return None


@given(st.dictionaries(fields | st.text(), json_values | st.booleans()))
def test_any_object_allows_only_with_exactly_true(value: dict[str, Any]) -> None:
    result = read(200, "application/json", json.dumps(value).encode("utf-8", "surrogatepass"))
    if result is not None and result.allowed:
        assert value["allowed"] is True
        assert value["requires_approval"] is False


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    result = read(200, "application/json", body)
    assert result is None or json.loads(body)["allowed"] in (True, False)


@given(st.integers(min_value=0, max_value=len(json.dumps(ALLOWED)) - 1))
def test_no_prefix_of_an_allow_is_one(length: int) -> None:
    assert read(200, "application/json", json.dumps(ALLOWED).encode()[:length]) is None


@given(st.integers(min_value=0, max_value=len(json.dumps(ALLOWED)) - 1), st.integers(min_value=0, max_value=255))
def test_an_allow_with_one_byte_changed_is_the_same_allow_or_none(at: int, byte: int) -> None:
    body = bytearray(json.dumps(ALLOWED).encode())
    body[at] = byte
    result = read(200, "application/json", bytes(body))
    assert result is None or (result.allowed is True and result.requires_approval is False)
