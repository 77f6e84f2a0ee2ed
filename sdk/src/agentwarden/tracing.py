"""OpenTelemetry spans of a client: the extra `otel`.

    from agentwarden import AgentWarden
    from agentwarden.tracing import OpenTelemetry

    guard = AgentWarden(observers=[OpenTelemetry()])

A span `agentwarden.check` for each check and `agentwarden.wait` for each wait, children of the current one, with the
names of agent and action, the result and the ids. Nothing of a context is in them.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from ._observe import Finish, outcome
from ._version import __version__


class OpenTelemetry:
    """An observer that traces, by the global tracer provider unless a tracer is given."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._tracer = tracer or trace.get_tracer("agentwarden", __version__)

    def check(self, agent_id: str, action: str) -> Finish:
        """A span for a check."""
        told = {"agentwarden.agent_id": agent_id, "agentwarden.action": action}
        span = self._tracer.start_span("agentwarden.check", kind=SpanKind.CLIENT, attributes=told)

        def finish(result: Any, error: BaseException | None) -> None:
            span.set_attribute("agentwarden.result", outcome(result, error))
            if result is not None:
                _attribute(span, "decision_id", result.decision_id)
                _attribute(span, "approval_id", result.approval_id)
                _attribute(span, "policy_version", result.policy_version)
                span.set_attribute("agentwarden.cached", result.cached)
            _end(span, error)

        return finish

    def wait(self, approval_id: str) -> Finish:
        """A span for a wait."""
        told = {"agentwarden.approval_id": approval_id}
        span = self._tracer.start_span("agentwarden.wait", kind=SpanKind.CLIENT, attributes=told)

        def finish(result: Any, error: BaseException | None) -> None:
            if result is not None:
                _attribute(span, "status", result.status)
            _end(span, error)

        return finish


def _attribute(span: Span, name: str, value: str | None) -> None:
    if value is not None:
        span.set_attribute(f"agentwarden.{name}", value)


def _end(span: Span, error: BaseException | None) -> None:
    if error is not None:
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        _attribute(span, "request_id", getattr(error, "request_id", None))
    span.end()
