"""Traces by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT says who collects them. Elsewhere none of it is imported.

What the SDK reads from the environment (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, …) holds.
"""

import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.conf import settings

from audit import spans
from audit.spans import Attributes, Place

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

App = Callable[[Any, Any, Any], Awaitable[None]]
NEEDED = ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.exporter.otlp")
UNTRACED = ("/health/", "/metrics", "/static/")


def is_wanted() -> bool:
    """Whether somebody collects traces."""
    return bool(settings.OTEL_EXPORTER_OTLP_ENDPOINT)


def is_installed() -> bool:
    """Whether the extra `otel` is."""
    return all(map(find_spec, NEEDED))


def start() -> "TracerProvider":
    """Traces this process, and sends what it traced now and then. A collector that is away costs traces, no more."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    os.environ.setdefault("OTEL_SERVICE_NAME", "warden")
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", "3")  # seconds: a server that ends waits for it
    provider = TracerProvider(resource=Resource.create())
    endpoint = settings.OTEL_EXPORTER_OTLP_ENDPOINT.rstrip("/")
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
    spans.install(Tracer(provider))
    return provider


class Tracer:
    """Spans as OpenTelemetry has them."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import context, trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.trace, self.context = trace, context
        self.tracer = provider.get_tracer("warden")
        self.extract = TraceContextTextMapPropagator().extract

    def span(self, name: str, parent: Place, attributes: Attributes) -> AbstractContextManager[None]:
        return self._span(name, parent, attributes)

    @contextmanager
    def _span(self, name: str, parent: Place, attributes: Attributes) -> Iterator[None]:
        with self.started(name, parent, attributes):
            yield

    @contextmanager
    def started(self, name: str, parent: Place, attributes: Attributes, **more: Any) -> Iterator["Span"]:
        """A span that says the type of what went wrong, and not what it said."""
        found = self.tracer.start_as_current_span(
            name, parent, attributes=attributes, record_exception=False, set_status_on_exception=False, **more
        )
        with found as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(self.trace.StatusCode.ERROR)
                raise

    def happened(self, name: str, seconds: float, parents: Iterable[Place], attributes: Attributes) -> None:
        ended = time.time_ns()
        for parent in parents:
            if parent is not None:
                began = ended - int(seconds * 1e9)
                self.tracer.start_span(name, parent, attributes=attributes, start_time=began).end(ended)

    def here(self) -> Place:
        return self.context.get_current()


def around(application: App) -> App:
    """The ASGI application, each request a span that continues the trace of its `traceparent`."""
    tracer = spans._tracer
    if not isinstance(tracer, Tracer):
        return application

    async def traced(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"].startswith(UNTRACED):
            await application(scope, receive, send)
            return
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        about: Attributes = {"http.request.method": scope["method"]}
        server = tracer.trace.SpanKind.SERVER
        with tracer.started(_name(scope), tracer.extract(given), about, kind=server) as span:

            async def sent(message: Any) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(tracer.trace.StatusCode.ERROR)
                await send(message)

            await application(scope, receive, sent)

    return traced


def _name(scope: Any) -> str:
    """What was asked for: `check`, or `GET /approvals`. Never the whole path: some let people in."""
    from gateway import answers, routes  # when there are requests, there are models

    if routes.is_ours(scope["path"]):
        found = routes.find(scope["method"], scope["path"])
        return found[0].name if not isinstance(found, answers.Answer) else "unknown"
    return f"{scope['method']} /{scope['path'].split('/')[1][:32]}"
