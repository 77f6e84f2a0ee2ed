/**
 * OpenTelemetry spans of a client, by @opentelemetry/api, which you install.
 *
 *     import { AgentWarden } from "agentwarden-client";
 *     import { OpenTelemetry } from "agentwarden-client/tracing";
 *
 *     const guard = new AgentWarden({ observers: [new OpenTelemetry()] });
 *
 * A span `agentwarden.check` for each check and `agentwarden.wait` for each wait, children of the current one, with the
 * names of agent and action, the result and the ids. Nothing of a context is in them.
 */

import { SpanKind, SpanStatusCode, trace, type Span, type Tracer } from "@opentelemetry/api";

import { AgentWardenError } from "./errors.js";
import type { Approval, CheckResult } from "./models.js";
import { kindOf, outcome, type Finish, type Observer } from "./observe.js";
import { VERSION } from "./wire.js";

/** An observer that traces, by the global tracer provider unless a tracer is given. */
export class OpenTelemetry implements Observer {
  readonly #tracer: Tracer;

  constructor(tracer: Tracer = trace.getTracer("agentwarden", VERSION)) {
    this.#tracer = tracer;
  }

  /** A span for a check. */
  check(agentId: string, action: string): Finish<CheckResult> {
    const span = this.#start("agentwarden.check", { "agentwarden.agent_id": agentId, "agentwarden.action": action });
    return (result, error) => {
      span.setAttribute("agentwarden.result", outcome(result));
      if (result !== null) {
        attribute(span, "decision_id", result.decisionId);
        attribute(span, "approval_id", result.approvalId);
        attribute(span, "policy_version", result.policyVersion);
        span.setAttribute("agentwarden.cached", result.cached);
      }
      end(span, result, error);
    };
  }

  /** A span for a wait. */
  wait(approvalId: string): Finish<Approval> {
    const span = this.#start("agentwarden.wait", { "agentwarden.approval_id": approvalId });
    return (result, error) => {
      if (result !== null) attribute(span, "status", result.status);
      end(span, result, error);
    };
  }

  #start(name: string, attributes: Record<string, string>): Span {
    return this.#tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes });
  }
}

function attribute(span: Span, name: string, value: string | null): void {
  if (value !== null) span.setAttribute(`agentwarden.${name}`, value);
}

function end(span: Span, result: unknown, error: unknown): void {
  if (result === null) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: kindOf(error) });
    if (error instanceof AgentWardenError) attribute(span, "request_id", error.requestId ?? null);
  }
  span.end();
}
