/** Who watches a client: told when a check or a wait begins, and how it ended. Watching never changes what happens. */

import { ValidationError } from "./errors.js";
import type { Approval, CheckResult } from "./models.js";

/** Called once, with what came of it: the result and null, or null and the error. */
export type Finish<T> = (result: T | null, error: unknown) => void;

/** Told of each operation; `PrometheusMetrics`, `OpenTelemetry`, or your own. */
export interface Observer {
  /** A check begins; it ends with a CheckResult. */
  check(agentId: string, action: string): Finish<CheckResult>;
  /** A wait for a person begins; it ends with an Approval. */
  wait(approvalId: string): Finish<Approval>;
}

/** All observers of one client. What one of them throws is told to `warn`, and is no one's concern. */
export class Observers {
  readonly #observers: readonly Observer[];
  readonly #warn: (message: string) => void;

  constructor(observers: Iterable<Observer>, warn: (message: string) => void) {
    this.#observers = [...observers];
    this.#warn = warn;
    for (const each of this.#observers) {
      if (typeof each?.check !== "function" || typeof each.wait !== "function") {
        throw new ValidationError("observers have the methods check and wait; one of these has not");
      }
    }
  }

  check(agentId: string, action: string, run: () => Promise<CheckResult>): Promise<CheckResult> {
    return this.#watch((observer) => observer.check(agentId, action), run);
  }

  wait(approvalId: string, run: () => Promise<Approval>): Promise<Approval> {
    return this.#watch((observer) => observer.wait(approvalId), run);
  }

  async #watch<T>(begin: (observer: Observer) => Finish<T>, run: () => Promise<T>): Promise<T> {
    const begun = this.#observers.map((observer) => this.#safely(() => begin(observer)));
    const finish = (result: T | null, error: unknown): void => {
      for (const each of begun) this.#safely(() => each?.(result, error));
    };
    let result: T;
    try {
      result = await run();
    } catch (error) {
      finish(null, error);
      throw error;
    }
    finish(result, null);
    return result;
  }

  #safely<R>(call: () => R): R | undefined {
    const failed = (error: unknown): void => this.#warn(`an observer failed: ${String(error)}`);
    try {
      const value = call();
      if (value instanceof Promise) value.catch(failed); // nobody awaits it: its failure must not end the program
      return value;
    } catch (error) {
      failed(error);
      return undefined;
    }
  }
}

/** How a check ended, in a word. */
export function outcome(result: CheckResult | null): "allowed" | "denied" | "pending" | "error" {
  if (result === null) return "error";
  if (result.requiresApproval) return "pending";
  return result.allowed ? "allowed" : "denied";
}

/** What an error is called. */
export function kindOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
