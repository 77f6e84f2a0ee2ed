"""Traces: what a collector receives of a check and of a decision, and that without one nothing is there at all."""

import gzip
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pytest_django import Settings

from audit import spans
from notifications.delivery import deliver
from tests.gateway.conftest import World
from tests.server import Server
from warden import checks, tracing

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "hunter2-Tr0ub4dor"


class Collector:
    """Takes OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.raw = b""
        self.received: list[Any] = []
        self.resource: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                outer.take(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def forget(self) -> None:
        """Begins anew, once what is on its way has come."""
        time.sleep(0.5)
        self.raw, self.received, self.resource = b"", [], {}

    def take(self, body: bytes) -> None:
        self.raw += body
        for part in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource |= {each.key: each.value.string_value for each in part.resource.attributes}
            self.received += [span for scope in part.scope_spans for span in scope.spans]

    def wait(self, name: str, number: int = 1) -> list[Any]:
        """At least so many spans of that name, in order of their beginning."""
        until = time.monotonic() + 20
        while len(found := [span for span in self.received if span.name == name]) < number:
            assert time.monotonic() < until, f"no {name} among {[span.name for span in self.received]}"
            time.sleep(0.05)
        return sorted(found, key=lambda span: span.start_time_unix_nano)


@pytest.fixture(scope="module")
def running_collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def tracing_server(django_db_setup: None, running_collector: Collector) -> Iterator[Server]:
    with Server(OTEL_EXPORTER_OTLP_ENDPOINT=running_collector.url, OTEL_BSP_SCHEDULE_DELAY="100") as server:
        yield server


@pytest.fixture
def collector(running_collector: Collector) -> Collector:
    running_collector.forget()
    return running_collector


@pytest.fixture
def traced(tracing_server: Server, one: World, collector: Collector) -> Iterator[World]:
    """Acme's agent at the door of a server that traces."""
    with httpx.Client(base_url=tracing_server.url, timeout=20) as client:
        yield replace(one, server=tracing_server, client=client)


def values(span: Any) -> dict[str, Any]:
    return {
        each.key: each.value.string_value if each.value.HasField("string_value") else each.value.int_value
        for each in span.attributes
    }


@pytest.mark.django_db(transaction=True)
def test_a_check_continues_the_trace_of_its_agent(traced: World, collector: Collector) -> None:
    body = {"agent_id": "support-bot", "action": "stripe.refund", "context": {"amount": 20, "note": SECRET}}
    traced.post("/sdk/check", body, traceparent=f"00-{TRACE}-{PARENT}-01")
    [check], [decide], [commit] = (collector.wait(name) for name in ("check", "decide", "commit"))
    assert check.parent_span_id.hex() == PARENT
    assert {span.trace_id.hex() for span in (check, decide, commit)} == {TRACE}
    assert {decide.parent_span_id, commit.parent_span_id} == {check.span_id}
    assert values(check) == {"http.request.method": "POST", "http.response.status_code": 200}
    assert values(commit) == {"lane": "quick", "jobs": 1}
    assert check.start_time_unix_nano <= commit.start_time_unix_nano <= decide.start_time_unix_nano
    assert decide.end_time_unix_nano <= commit.end_time_unix_nano
    assert collector.resource["service.name"] == "warden"
    for inside in (SECRET, traced.key, "stripe", "amount"):
        assert inside.encode() not in collector.raw


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("given", ["", "nonsense", "00-0-0-00", f"00-{'0' * 32}-{PARENT}-01", "ÿ" * 300])
def test_a_check_without_a_trace_begins_one(traced: World, collector: Collector, given: str) -> None:
    headers = [(b"X-API-Key", traced.key.encode()), *([(b"traceparent", given.encode("latin-1"))] if given else [])]
    answer = httpx.post(
        f"{traced.server.url}/sdk/check", json={"agent_id": "support-bot", "action": "email.send"}, headers=headers
    )
    assert answer.json()["allowed"]
    [check] = collector.wait("check")
    assert not check.parent_span_id
    assert int(check.trace_id.hex(), 16)


@pytest.mark.django_db(transaction=True)
def test_a_commit_of_many_is_in_the_trace_of_each(traced: World, collector: Collector) -> None:
    def ask() -> None:
        traced.check("email.send")

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checks, commits = collector.wait("check", 12), collector.wait("commit", 12)
    assert {span.trace_id for span in checks} == {span.trace_id for span in commits}
    assert sum(1 / values(span)["jobs"] for span in commits) == pytest.approx(
        len({(span.start_time_unix_nano, span.end_time_unix_nano) for span in commits})
    )


@pytest.mark.django_db(transaction=True)
def test_pages_are_traced_without_what_lets_people_in(traced: World, collector: Collector) -> None:
    traced.client.get(f"/setup/{SECRET}")
    traced.client.get(f"/sdk/{SECRET}")
    traced.client.get("/health/ready")
    traced.client.get("/metrics")
    assert len(collector.wait("GET /setup")) == 1
    [unknown] = collector.wait("unknown")
    assert values(unknown)["http.response.status_code"] == 404
    time.sleep(0.5)
    assert {span.name for span in collector.received} == {"GET /setup", "unknown"}
    assert SECRET.encode() not in collector.raw


@pytest.fixture
def here(collector: Collector, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """This process traces."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "warden-worker")
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = collector.url
    provider = tracing.start()
    yield collector
    spans.install(None)
    provider.shutdown()


@pytest.mark.django_db(transaction=True)
def test_decisions_and_deliveries_are_spans(here: Collector, one: World) -> None:
    asked = one.pending()
    one.decide(asked["approval_id"], reason=SECRET)
    [review] = here.wait("review")
    assert review.status.code == 0
    deliver(one.acme.id)  # no delivery has this id
    [delivery] = here.wait("delivery")
    assert values(delivery) == {}
    assert here.resource["service.name"] == "warden-worker"
    assert SECRET.encode() not in here.raw


def test_a_span_says_the_type_of_an_error_and_not_its_words(here: Collector) -> None:
    @spans.traced("review")
    def fails() -> None:
        raise RuntimeError(SECRET)

    with pytest.raises(RuntimeError):
        fails()
    [failed] = here.wait("review")
    assert values(failed) == {"error.type": "RuntimeError"}
    assert failed.status.code == 2
    assert SECRET.encode() not in here.raw


@pytest.mark.django_db(transaction=True)
def test_a_collector_that_is_away_costs_nothing_but_traces(one: World) -> None:
    with Server(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_BSP_SCHEDULE_DELAY="50") as server:
        for _ in range(5):
            headers = {"X-API-Key": one.key}
            body = {"agent_id": "support-bot", "action": "email.send"}
            assert httpx.post(f"{server.url}/sdk/check", json=body, headers=headers).json()["allowed"]
            time.sleep(0.1)


START = """
import sys
if sys.argv[1:]:
    sys.modules["opentelemetry"] = None  # as where it is not installed
import warden.asgi, warden.celery
print(*sorted(sys.modules))
"""
OURS = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "opentelemetry.proto")  # redis-py looks for metrics itself


def imported(*words: str, **environment: str) -> list[str]:
    """What a server imports as it starts, of what makes traces."""
    done = subprocess.run(
        [sys.executable, "-c", START, *words],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "warden.settings"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [name for name in done.stdout.split() if name.startswith(OURS)]


def test_without_a_collector_nothing_of_it_is_imported() -> None:
    assert imported() == []


def test_without_a_collector_nothing_of_it_is_needed() -> None:
    assert imported("not installed") == []


def test_with_a_collector_it_is_imported() -> None:
    assert "opentelemetry.sdk.trace" in imported(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")


def test_a_span_without_a_tracer_is_nothing() -> None:
    assert spans.span("decide") is spans.span("commit", None, jobs=3)
    assert spans.here() is None
    spans.happened("commit", 1.0, [None])


def test_wanting_traces_without_what_makes_them_stops_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks.traces() == []
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:4318"
    assert checks.traces() == []
    monkeypatch.setattr(tracing, "NEEDED", ("opentelemetry_that_is_not_there",))
    assert [message.id for message in checks.traces()] == ["warden.E008"]
