/** Log entries the server could not take yet: kept in memory, in order, and sent when it is next reachable. */

import { retryable, type Request } from "./wire.js";

const MOST = 1_000;

/** A bounded queue with one sender at a time. */
export class Outbox {
  readonly #send: (request: Request, timeoutMs: number) => Promise<unknown>;
  readonly #warn: (message: string) => void;
  readonly #waiting: Request[] = [];
  #sending: Promise<void> | null = null;

  constructor(send: (request: Request, timeoutMs: number) => Promise<unknown>, warn: (message: string) => void) {
    this.#send = send;
    this.#warn = warn;
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** Whether there is something to send, and nobody sends. */
  get isIdle(): boolean {
    return this.#waiting.length > 0 && this.#sending === null;
  }

  /** Queue an entry; false when the queue is full, and the entry is in the warning alone. */
  add(request: Request): boolean {
    if (this.#waiting.length >= MOST) return false;
    this.#waiting.push(request);
    return true;
  }

  /** Send what is overdue, oldest first, until the first that the server cannot take; never rejects. Who comes second waits for the first. */
  flush(milliseconds: number): Promise<void> {
    this.#sending ??= this.#flush(performance.now() + milliseconds).finally(() => (this.#sending = null));
    return this.#sending;
  }

  async #flush(deadline: number): Promise<void> {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      const left = deadline - performance.now();
      if (left <= 0) return;
      try {
        await this.#send(next, left);
      } catch (error) {
        if (retryable(error)) return;
        this.#warn(`Warden refused an overdue outcome of '${next.action}': ${(error as Error).message}`);
      }
      this.#waiting.shift();
    }
  }
}
