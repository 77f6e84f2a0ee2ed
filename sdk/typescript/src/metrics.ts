/**
 * Prometheus metrics of a client, by prom-client, which you install.
 *
 *     import { AgentWarden } from "agentwarden-client";
 *     import { PrometheusMetrics } from "agentwarden-client/metrics";
 *
 *     const guard = new AgentWarden({ observers: [new PrometheusMetrics()] });
 *
 * agentwarden_checks_total{agent_id, action, result}   result: allowed, denied, pending or error
 * agentwarden_check_duration_seconds                   of checks, retries included; answers from the cache are left out
 * agentwarden_cache_hits_total                         checks answered from the cache
 * agentwarden_errors_total{type}                       by the error's class: RateLimitError, NetworkError …
 * agentwarden_approvals_pending                        approvals this process waits for
 * agentwarden_approval_wait_seconds                    how long it waited for those that ended
 */

import { Counter, Gauge, Histogram, register, type Registry } from "prom-client";

import type { Approval, CheckResult } from "./models.js";
import { kindOf, outcome, type Finish, type Observer } from "./observe.js";

// Seconds: those of the Python client, so that one dashboard shows both.
const CHECKS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const WAITS = [1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600];

/**
 * An observer that counts. Make one for each registry, and share it between clients.
 *
 * Labels hold the names of agents and actions, which your program chooses; nothing of a context ever becomes one.
 */
export class PrometheusMetrics implements Observer {
  readonly #checks: Counter<"agent_id" | "action" | "result">;
  readonly #seconds: Histogram;
  readonly #hits: Counter;
  readonly #errors: Counter<"type">;
  readonly #pending: Gauge;
  readonly #waited: Histogram;

  constructor(registry: Registry = register) {
    const registers = [registry];
    const labelNames = ["agent_id", "action", "result"] as const;
    this.#checks = new Counter({ name: "agentwarden_checks_total", help: "Permission checks", labelNames, registers });
    this.#seconds = new Histogram({
      name: "agentwarden_check_duration_seconds",
      help: "Duration of a check",
      buckets: CHECKS,
      registers,
    });
    this.#hits = new Counter({ name: "agentwarden_cache_hits_total", help: "Checks answered from the cache", registers });
    this.#errors = new Counter({
      name: "agentwarden_errors_total",
      help: "Calls that ended in an error",
      labelNames: ["type"],
      registers,
    });
    this.#pending = new Gauge({ name: "agentwarden_approvals_pending", help: "Approvals this process waits for", registers });
    this.#waited = new Histogram({
      name: "agentwarden_approval_wait_seconds",
      help: "Time until an approval ended",
      buckets: WAITS,
      registers,
    });
  }

  /** Counts a check and times it. */
  check(agentId: string, action: string): Finish<CheckResult> {
    const started = performance.now();
    return (result, error) => {
      this.#checks.inc({ agent_id: agentId, action, result: outcome(result) });
      if (result === null) this.#errors.inc({ type: kindOf(error) });
      if (result?.cached) this.#hits.inc();
      else this.#seconds.observe((performance.now() - started) / 1000);
    };
  }

  /** Counts who waits, and times the waits that ended in a decision or an expiry. */
  wait(_: string): Finish<Approval> {
    const started = performance.now();
    this.#pending.inc();
    return (result, error) => {
      this.#pending.dec();
      if (result === null) this.#errors.inc({ type: kindOf(error) });
      else if (!result.pending) this.#waited.observe((performance.now() - started) / 1000);
    };
  }
}
