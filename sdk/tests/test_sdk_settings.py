"""What a client is made of: its settings, the key it keeps to itself, its errors, and what the package shows."""

from __future__ import annotations

import copy
import io
import logging
import pickle
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import KEY
from scripted_warden import ALLOWED, DENIED, PENDING, Reply, ScriptedWarden

import agentwarden
from agentwarden import (
    AgentNotFoundError,
    AgentWarden,
    AgentWardenError,
    APIError,
    Approval,
    ApprovalRequiredError,
    AsyncAgentWarden,
    AuthenticationError,
    BatchError,
    CheckResult,
    NetworkError,
    PermissionDeniedError,
    RateLimitError,
    ReceiptError,
    ValidationError,
)

CLIENTS = [AgentWarden, AsyncAgentWarden]


@pytest.mark.parametrize("kind", CLIENTS)
def test_what_is_missing_is_named(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="AGENTWARDEN_API_KEY"):
        kind(base_url="https://warden.example.com")
    with pytest.raises(ValidationError, match="AGENTWARDEN_BASE_URL"):
        kind(api_key=KEY)
    monkeypatch.setenv("AGENTWARDEN_API_KEY", "")
    with pytest.raises(ValidationError, match="AGENTWARDEN_API_KEY"):
        kind(base_url="https://warden.example.com")


async def test_the_environment_is_asked_last(warden: ScriptedWarden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTWARDEN_API_KEY", f"  {KEY}\n")
    monkeypatch.setenv("AGENTWARDEN_BASE_URL", warden.url + "/")
    warden.script(Reply(body=ALLOWED))
    with AgentWarden() as guard:
        assert guard.check("bot", "x.y")
    async with AsyncAgentWarden() as other:
        assert await other.check("bot", "x.y")
    assert [seen.headers["x-api-key"] for seen in warden.seen] == [KEY, KEY]
    with AgentWarden("test_another_key") as guard:
        guard.check("bot", "x.y")
    assert warden.seen[-1].headers["x-api-key"] == "test_another_key"


@pytest.mark.parametrize(
    "url",
    [
        "http://warden.example.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.1@example.com",
        "https://user:secret@warden.example.com",
        "https://",
        "https:///sdk",
        "warden.example.com",
        "ftp://warden.example.com",
        "file:///etc/passwd",
        "https://warden.example.com?x=1",
        "https://warden.example.com#x",
        "https://warden.example.com:port",
        "https://warden.example.com:99999",
        "https://warden\\.example.com",
        "https://warden.example.com/\nx",
        "https://[::1",
    ],
)
def test_a_base_url_where_a_key_would_be_in_danger_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="base_url") as caught:
        AgentWarden(KEY, url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://warden.example.com", "https://warden.example.com:8443/warden/", "http://localhost:8000"]
)
def test_a_base_url_may_be_https_or_local(url: str) -> None:
    with AgentWarden(KEY, url) as guard:
        assert repr(guard) == f"AgentWarden(base_url='{url.rstrip('/')}')"


@pytest.mark.parametrize("url", ["http://127.0.0.1", "http://127.8.9.10:80", "http://[::1]:8000"])
def test_local_addresses_are_local(url: str) -> None:
    AgentWarden(KEY, url).close()


async def test_a_path_in_the_base_url_is_kept(make: Any, warden: ScriptedWarden) -> None:
    warden.script(Reply(body=ALLOWED))
    await make(warden.url + "/warden/").check("bot", "x.y")
    assert warden.seen[0].path == "/warden/sdk/check"


@pytest.mark.parametrize("key", ["short", "with a space in it", "ünïcödé-key", "line\r\nbreak-key", "x" * 5000])
def test_a_malformed_key_is_refused_without_being_repeated(key: str) -> None:
    with pytest.raises(ValidationError, match="key") as caught:
        AgentWarden(key, "https://warden.example.com")
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        *({"timeout": value} for value in (0, -1, float("inf"), None, True)),
        *({"max_retries": value} for value in (-1, 21)),
        *({"backoff": value} for value in (-1, float("nan"))),
        {"cache_size": 0},
    ],
    ids=repr,
)
def test_settings_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        AgentWarden(KEY, "https://warden.example.com", **options)


async def test_the_key_is_nowhere_to_be_read(
    make: Any, warden: ScriptedWarden, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    echo = {"detail": f"Bad key {KEY}", "code": KEY}
    for reply in (Reply(body=ALLOWED), Reply(body=DENIED), Reply(401, echo), Reply(422, echo), Reply(hang_up=True)):
        warden.script(reply)
        both = make(max_retries=1, fail_open_actions={"x.z"})
        for action in ("x.y", "x.z"):
            try:
                told.append(repr(await both.check("bot", action)))
            except AgentWardenError as error:
                told += [str(error), repr(error), str(error.__dict__), "".join(traceback.format_exception(error))]
        client = both.client
        told += [repr(client), str(client), repr(client._settings), repr(client._core), repr(client._wire)]
        told += [repr(client._wire._client), repr(client._wire._client.headers), repr(client._wire._client.auth)]
    assert not [text for text in told if KEY in text]
    assert KEY not in caplog.text


def test_plain_http_goes_past_every_proxy(warden: ScriptedWarden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    warden.script(Reply(body=ALLOWED))
    with AgentWarden(KEY, warden.url) as guard:
        assert guard.check("bot", "x.y")


def test_threads_share_one_client(warden: ScriptedWarden) -> None:
    def answer(seen: Any) -> Reply:
        return Reply(
            body={**(ALLOWED if seen.body["context"]["n"] % 2 else DENIED), "decision_id": seen.body["action"]}
        )

    warden.script(answer)
    with AgentWarden(KEY, warden.url, cache_ttl=30) as guard, ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda n: guard.check("bot", f"x.y{n}", {"n": n}), range(200)))
    assert [(r.allowed, r.decision_id) for r in results] == [(n % 2 == 1, f"x.y{n}") for n in range(200)]
    assert len({seen.headers["idempotency-key"] for seen in warden.seen}) == 200


def test_overdue_reports_are_sent_once_by_many_threads(warden: ScriptedWarden) -> None:
    with AgentWarden(KEY, warden.url, max_retries=0, fail_open_actions=["x.y"]) as guard:
        warden.script(Reply(hang_up=True))
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda n: guard.check("bot", "x.y", {"n": n}).fail_open, range(40)))
        warden.script(Reply(body=DENIED))
        barrier = threading.Barrier(8)

        def check(n: int) -> None:
            barrier.wait(10)
            for _ in range(5):
                guard.check("bot", "x.z")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(check, range(8)))
    assert sorted(seen.body["context"]["n"] for seen in warden.logs) == list(range(40))


def test_the_tree_is_drawn_as_it_grows() -> None:
    kinds = [
        AuthenticationError,
        PermissionDeniedError,
        ApprovalRequiredError,
        AgentNotFoundError,
        RateLimitError,
        ValidationError,
        NetworkError,
        BatchError,
        ReceiptError,
        APIError,
    ]
    assert AgentWardenError.__subclasses__() == kinds
    drawing = sys.modules[AgentWardenError.__module__].__doc__ or ""
    assert [word for line in drawing.splitlines() for word in line.split()[1:2] if word.endswith("Error")] == [
        kind.__name__ for kind in kinds
    ]


ERRORS = [
    AuthenticationError("Invalid API key", request_id="req-7", status_code=401),
    PermissionDeniedError("x.y", "too much", approval_id="apr_1", request_id="req-7", code="denied"),
    ApprovalRequiredError("x.y", "ask first", "apr_1", approval_url="https://warden.example.com"),
    AgentNotFoundError("bot", request_id="req-7"),
    RateLimitError("slow down", retry_after=3.0),
    ValidationError("no"),
    NetworkError("gone"),
    APIError("broken", status_code=500, retry_after=1.0),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_travel_between_processes(error: AgentWardenError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert other.__dict__ == error.__dict__


def test_errors_say_what_happened() -> None:
    assert str(ERRORS[1]) == "Permission denied for action 'x.y': too much [request req-7]"
    assert str(ERRORS[2]) == "Action 'x.y' requires human approval: ask first"
    assert str(PermissionDeniedError("x.y")) == "Permission denied for action 'x.y'"
    assert str(ERRORS[3]) == "Agent 'bot' not found [request req-7]"


def test_results_are_values_that_do_not_change() -> None:
    result = CheckResult(allowed=True, requires_approval=False)
    with pytest.raises(AttributeError):
        result.allowed = False  # type: ignore[misc]
    assert not hasattr(result, "__dict__")
    assert pickle.loads(pickle.dumps(result)) == result
    assert not CheckResult(allowed="yes", requires_approval=False)  # type: ignore[arg-type]
    assert Approval(id="apr_1", status="approved")
    assert not Approval(id="apr_1", status="pending")


def test_the_package_shows_what_it_says() -> None:
    for name in agentwarden.__all__:
        assert getattr(agentwarden, name) is not None
    assert sorted(agentwarden.__all__) == dir(agentwarden)
    assert set(agentwarden.__all__) == {
        *("AgentWarden", "AsyncAgentWarden", "CheckResult", "LogResult", "Approval", "Claim", "__version__"),
        *("AgentWardenError", "AuthenticationError", "PermissionDeniedError", "ApprovalRequiredError"),
        *("AgentNotFoundError", "RateLimitError", "ValidationError", "NetworkError", "APIError"),
        *("BatchError", "BatchResult", "Comment", "Identity", "error_context"),
        *("Receipt", "ReceiptError", "UsedReceipts", "verify_receipt"),
    }
    with pytest.raises(AttributeError, match="Warden"):
        _ = agentwarden.Warden
    public = {name: member for name in agentwarden.__all__ if isinstance(member := getattr(agentwarden, name), type)}
    for name, member in public.items():
        assert member.__doc__, name
        for method, value in vars(member).items():
            assert method.startswith("_") or not callable(value) or value.__doc__, f"{name}.{method}"
    sync = {name for name in dir(AgentWarden) if not name.startswith("_")}
    assert sync == {name for name in dir(AsyncAgentWarden) if not name.startswith("_")}


def test_importing_it_loads_no_http_library() -> None:
    code = (
        "import sys; from agentwarden import AgentWarden, CheckResult, APIError;"
        "print([name for name in ('httpx', 'asyncio', 'ssl') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"
    light = "import sys, agentwarden; print([n for n in sys.modules if n.startswith('agentwarden.')])"
    run = subprocess.run([sys.executable, "-c", light], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


def test_it_is_typed_and_has_the_version_it_says() -> None:
    home = Path(agentwarden.__file__).parent
    assert (home / "py.typed").exists()
    assert f'version = "{agentwarden.__version__}"' in (home.parents[1] / "pyproject.toml").read_text()


def test_a_transport_may_be_given() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["X-API-Key"] == KEY
        return httpx.Response(200, json=PENDING)

    with AgentWarden(KEY, "https://warden.example.com", transport=httpx.MockTransport(answer)) as guard:
        assert guard.check("bot", "x.y").approval_id == "apr_1"


def test_logs_have_one_name(warden: ScriptedWarden) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger("agentwarden").addHandler(handler)
    try:
        warden.script(Reply(hang_up=True))
        with AgentWarden(KEY, warden.url, max_retries=0, fail_open_actions=["x.y"]) as guard:
            guard.check("bot", "x.y")
    finally:
        logging.getLogger("agentwarden").removeHandler(handler)
    assert "could not be reached" in stream.getvalue()
