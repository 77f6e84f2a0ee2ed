"""Who watches a client: Prometheus metrics and OpenTelemetry spans, with what really happened in them."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest
from scripted_warden import ALLOWED, DENIED, PENDING, Reply, ScriptedWarden, approval

from agentwarden import APIError, ValidationError
from agentwarden.metrics import PrometheusMetrics
from agentwarden.tracing import OpenTelemetry


def samples(registry: CollectorRegistry) -> dict[str, float]:
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    found = (line.rsplit(" ", 1) for line in lines if "_created" not in line and "_bucket" not in line)
    return {name: float(value) for name, value in found}


async def test_checks_are_counted_by_what_came_of_them(make: Any, warden: ScriptedWarden) -> None:
    registry = CollectorRegistry()
    guard = make(observers=[PrometheusMetrics(registry)], max_retries=0)
    warden.script(Reply(body=ALLOWED), Reply(body=DENIED), Reply(body=PENDING), Reply(503, {"detail": "x"}))
    for _ in range(3):
        await guard.check("bot", "x.y", {"amount": 42})
    with pytest.raises(APIError):
        await guard.check("bot", "x.y")
    told = samples(registry)
    for result in ("allowed", "denied", "pending", "error"):
        assert told[f'agentwarden_checks_total{{action="x.y",agent_id="bot",result="{result}"}}'] == 1
    assert told["agentwarden_check_duration_seconds_count"] == 4
    assert told['agentwarden_errors_total{type="APIError"}'] == 1
    assert not [name for name in told if "42" in name]


async def test_answers_from_the_cache_are_hits(make: Any, warden: ScriptedWarden) -> None:
    registry = CollectorRegistry()
    guard = make(observers=[PrometheusMetrics(registry)], cache_ttl=30)
    warden.script(Reply(body={**ALLOWED, "cacheable": True}))
    for _ in range(3):
        await guard.check("bot", "x.y")
    told = samples(registry)
    assert told["agentwarden_cache_hits_total"] == 2
    assert told["agentwarden_check_duration_seconds_count"] == 1


async def test_a_wait_is_pending_while_it_lasts(make: Any, warden: ScriptedWarden) -> None:
    registry = CollectorRegistry()
    guard = make(observers=[PrometheusMetrics(registry)])
    during: list[float] = []

    def look(seen: Any) -> Reply:
        during.append(samples(registry)["agentwarden_approvals_pending"])
        return Reply(body=approval("approved"))

    warden.script(look)
    await guard.wait_for_approval("apr_1")
    told = samples(registry)
    assert during == [1]
    assert told["agentwarden_approvals_pending"] == 0
    assert told["agentwarden_approval_wait_seconds_count"] == 1


async def test_spans_name_the_decision_and_nothing_of_the_context(make: Any, warden: ScriptedWarden) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    guard = make(observers=[OpenTelemetry(provider.get_tracer("test"))], max_retries=0)
    warden.script(Reply(body={**PENDING, "policy_version": "pv_1"}), Reply(body=approval("denied")), Reply(401))
    await guard.check("bot", "x.y", {"card": "4242"})
    await guard.wait_for_approval("apr_1")
    with pytest.raises(Exception, match="401"):
        await guard.check("bot", "x.y")
    asked, waited, failed = exporter.get_finished_spans()
    assert (asked.name, dict(asked.attributes or {})) == (
        "agentwarden.check",
        {
            "agentwarden.agent_id": "bot",
            "agentwarden.action": "x.y",
            "agentwarden.result": "pending",
            "agentwarden.decision_id": "dec_1",
            "agentwarden.approval_id": "apr_1",
            "agentwarden.policy_version": "pv_1",
            "agentwarden.cached": False,
        },
    )
    assert (waited.name, (waited.attributes or {})["agentwarden.status"]) == ("agentwarden.wait", "denied")
    assert (failed.status.is_ok, (failed.attributes or {})["agentwarden.result"]) == (False, "error")
    assert (failed.attributes or {})["agentwarden.request_id"] == "req-7"


class Broken:
    """An observer that fails whenever it can."""

    def check(self, agent_id: str, action: str) -> Any:
        raise RuntimeError("broken")

    def wait(self, approval_id: str) -> Any:
        def finish(result: Any, error: BaseException | None) -> None:
            raise RuntimeError("broken")

        return finish


async def test_an_observer_that_fails_changes_nothing(
    make: Any, warden: ScriptedWarden, caplog: pytest.LogCaptureFixture
) -> None:
    guard = make(observers=[Broken()])
    warden.script(Reply(body=DENIED), Reply(body=approval("denied")))
    assert not await guard.check("bot", "x.y")
    assert not await guard.wait_for_approval("apr_1")
    assert caplog.text.count("An observer of Warden's client failed") == 2


def test_what_is_no_observer_is_refused(warden: ScriptedWarden, make: Any) -> None:
    with pytest.raises(ValidationError, match="observers"):
        make(observers=[object()])
