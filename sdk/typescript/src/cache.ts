/**
 * A small, short-lived memory of answers the server marked as cacheable: unconditional allows and denials.
 *
 * Keyed by policy version, agent, action and canonical context. The version looked up is the newest one this client was
 * told for the agent, so that the first answer under a new policy puts everything older out of reach. An approval, in
 * any state, is never remembered.
 */

import { encode } from "./json.js";
import type { CheckResult } from "./models.js";

/** `ttlMs` of 0 remembers nothing; of more than `size` answers, the least recently used goes first. */
export class Cache {
  readonly #ttlMs: number;
  readonly #size: number;
  readonly #clock: () => number;
  readonly #answers = new Map<string, { until: number; result: CheckResult }>(); // the least recently used is first
  readonly #versions = new Map<string, string>();
  #generation = 0;

  constructor(ttlMs: number, size: number, clock: () => number = () => performance.now()) {
    this.#ttlMs = ttlMs;
    this.#size = size;
    this.#clock = clock;
  }

  get on(): boolean {
    return this.#ttlMs > 0;
  }

  /** Changes with every `clear`: an answer asked for before it is not kept after it. */
  get generation(): number {
    return this.#generation;
  }

  get size(): number {
    return this.#answers.size;
  }

  now(): number {
    return this.#clock();
  }

  get(agentId: string, action: string, context: string): CheckResult | null {
    const version = this.#versions.get(agentId);
    if (version === undefined) return null;
    const key = encode([version, agentId, action, context]);
    const found = this.#answers.get(key);
    if (!found) return null;
    this.#answers.delete(key);
    if (this.#clock() >= found.until) return null;
    this.#answers.set(key, found);
    return Object.freeze({ ...found.result, cached: true });
  }

  /** Keep an answer for `ttlMs` from when it was asked for; every answer teaches the policy's version. */
  put(agentId: string, action: string, context: string, result: CheckResult, asked: { at: number; generation: number }): void {
    if (!this.on || !result.policyVersion || asked.generation !== this.#generation) return;
    keep(this.#versions, agentId, result.policyVersion, this.#size);
    if (result.cacheable && !result.requiresApproval && !result.approvalId && !result.failOpen) {
      const key = encode([result.policyVersion, agentId, action, context]);
      keep(this.#answers, key, { until: asked.at + this.#ttlMs, result }, this.#size);
    }
  }

  clear(): void {
    this.#answers.clear();
    this.#versions.clear();
    this.#generation++;
  }
}

/** As the most recently used, with the least recently used gone where there are too many. */
function keep<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= most) break;
    map.delete(oldest);
  }
}
