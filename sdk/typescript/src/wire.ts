/** One exchange with the server: settings, the request, and telling a good answer from a refusal. */

import {
  AgentNotFoundError,
  AgentWardenError,
  APIError,
  AuthenticationError,
  NetworkError,
  PermissionDeniedError,
  RateLimitError,
  ValidationError,
} from "./errors.js";
import { encode, type Context } from "./json.js";
import { objectOf, requestIdOf, type Answer } from "./models.js";
import type { Observer } from "./observe.js";

const LARGEST_ANSWER = 4 * 1024 * 1024; // bytes
const RETRIED = new Set([429, 500, 502, 503, 504]);
const LONGEST_RETRY_AFTER = 60_000;
const LONGEST_PAUSE = 8_000;
export const VERSION = "1.0.0";

/** How a client is made. Times are milliseconds. */
export interface Options {
  /** `ak_…`, or `test_…` for isolated data; else the environment's AGENTWARDEN_API_KEY. */
  apiKey?: string | undefined;
  /** `https://…`, or `http://localhost…`; else AGENTWARDEN_BASE_URL. */
  baseUrl?: string | undefined;
  /** For one call in all, its retries and pauses included (10,000). Waiting for a person is counted apart. */
  timeoutMs?: number;
  /** After a connection error, a time-out, 429, 500, 502, 503 or 504; always under one idempotency key (3). */
  maxRetries?: number;
  /** The pause before retry n is random up to `backoffMs * 2**n`, and no less than Retry-After (250). */
  backoffMs?: number;
  /**
   * Exact names of actions that may go ahead while Warden cannot be reached (no connection, time-out, 5xx). Each such
   * allow is warned of, marked `failOpen` and reported when the server is back. By default none: nothing is allowed then.
   */
  failOpenActions?: Iterable<string>;
  /** For how long unconditional allows and denials that the server marked as cacheable are remembered, a minute at most (0). */
  cacheTtlMs?: number;
  /** How many of them at most (1,024). */
  cacheSize?: number;
  /** Who is told of checks and waits: `PrometheusMetrics`, `OpenTelemetry`, or your own with their two methods. */
  observers?: Iterable<Observer>;
  /** Another fetch than the built-in one; for tests, see `agentwarden-client/testing`. */
  fetch?: typeof fetch;
  /** Told of outcomes that could not be reported yet, and of what went ahead without Warden; by default they are written to the console. */
  onWarning?: (message: string) => void;
}

/** One call to Warden. `agentId` and `action` are there for the errors it may end in. */
export interface Request {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: string;
  readonly idempotencyKey?: string;
  readonly agentId?: string;
  readonly action?: string;
}

export function newKey(): string {
  return globalThis.crypto.randomUUID().replaceAll("-", "");
}

export function post(path: string, body: unknown, key?: string, agentId?: string, action?: string): Request {
  if (key !== undefined && !/^[\x21-\x7e]{1,200}$/.test(key)) {
    throw new ValidationError("idempotencyKey is 1 to 200 printable ASCII characters without spaces");
  }
  return {
    method: "POST",
    path,
    ...(body === undefined ? {} : { body: encode(body, "request") }),
    ...(key === undefined ? {} : { idempotencyKey: key }),
    ...(agentId === undefined ? {} : { agentId }),
    ...(action === undefined ? {} : { action }),
  };
}

/** Whether the same request, sent again under the same idempotency key, may fare better. */
export function retryable(error: unknown): error is AgentWardenError {
  return error instanceof NetworkError || (error instanceof AgentWardenError && RETRIED.has(error.statusCode ?? 0));
}

/** Whether Warden could not answer at all: not heard, or a 5xx. A 4xx is an answer. */
export function unreachable(error: unknown): error is AgentWardenError {
  if (error instanceof NetworkError) return true;
  const status = error instanceof APIError ? (error.statusCode ?? 0) : 0;
  return status >= 500 && status <= 599;
}

export class Wire {
  readonly baseUrl: string;
  readonly timeoutMs: number;
  readonly #key: string;
  readonly #retries: number;
  readonly #backoffMs: number;
  readonly #fetch: typeof fetch;
  readonly #refused: (error: AgentWardenError) => void;
  #closed = false;

  /** `refused` is told of every answer that is an error. */
  constructor(options: Options, refused: (error: AgentWardenError) => void) {
    this.#refused = refused;
    this.#key = cleanKey(options.apiKey ?? process.env["AGENTWARDEN_API_KEY"]);
    this.baseUrl = cleanUrl(options.baseUrl ?? process.env["AGENTWARDEN_BASE_URL"]);
    this.timeoutMs = number("timeoutMs", options.timeoutMs ?? 10_000, 1, 600_000);
    this.#retries = number("maxRetries", options.maxRetries ?? 3, 0, 20);
    this.#backoffMs = number("backoffMs", options.backoffMs ?? 250, 0, 60_000);
    this.#fetch = options.fetch ?? fetch;
  }

  /** A 200, or the error. An attempt may take half of the time that is left, the last one all of it. */
  async exchange(request: Request): Promise<Answer> {
    const deadline = performance.now() + this.timeoutMs;
    for (let attempt = 0; ; attempt++) {
      const left = deadline - performance.now();
      try {
        return await this.once(request, attempt >= this.#retries ? left : left / 2);
      } catch (error) {
        if (attempt >= this.#retries || !retryable(error)) throw error;
        const pause = this.pause(attempt, error);
        if (performance.now() + pause >= deadline) throw error;
        await sleep(pause);
      }
    }
  }

  pause(attempt: number, error: AgentWardenError): number {
    const pause = Math.random() * Math.min(LONGEST_PAUSE, this.#backoffMs * 2 ** Math.min(attempt, 30));
    return error.retryAfterMs === undefined ? pause : error.retryAfterMs + Math.min(pause, this.#backoffMs);
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
  }

  async once(request: Request, timeoutMs: number): Promise<Answer> {
    if (this.#closed) throw new AgentWardenError("This client is closed");
    const answer = await this.#send(request, Math.max(1, timeoutMs));
    const error = refusal(request, answer);
    if (error) {
      this.#refused(error);
      throw error;
    }
    return answer;
  }

  async #send(request: Request, timeoutMs: number): Promise<Answer> {
    const headers: Record<string, string> = {
      Accept: "application/json",
      "User-Agent": `agentwarden-client-js/${VERSION}`,
      "X-API-Key": this.#key,
    };
    if (request.body !== undefined) headers["Content-Type"] = "application/json";
    if (request.idempotencyKey !== undefined) headers["Idempotency-Key"] = request.idempotencyKey;
    const where = `${request.method} ${this.baseUrl}${request.path.split("?")[0]}`;
    try {
      const response = await this.#fetch(this.baseUrl + request.path, {
        method: request.method,
        headers,
        redirect: "manual",
        signal: AbortSignal.timeout(Math.ceil(timeoutMs)),
        ...(request.body === undefined ? {} : { body: request.body }),
      });
      const text = await read(response);
      return { status: response.status, headers: response.headers, text: response.status === 200 ? text : this.#redact(text) };
    } catch (error) {
      if (error instanceof AgentWardenError) throw error;
      if (error instanceof DOMException && error.name === "TimeoutError") {
        throw new NetworkError(`Warden did not answer within ${Math.ceil(timeoutMs)} ms (${where})`);
      }
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      const told = this.#redact(cause instanceof Error ? cause.message || cause.name : String(cause));
      throw new NetworkError(`Warden could not be reached (${where}): ${told}`);
    }
  }

  /** An error that quotes the request must not carry the key into a log. */
  #redact(text: string): string {
    return text.replaceAll(this.#key, "[key]");
  }
}

async function read(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > LARGEST_ANSWER) throw new APIError(`Warden's answer is malformed: more than ${LARGEST_ANSWER} bytes`);
    parts.push(part);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(parts));
  } catch {
    throw new APIError("Warden's answer is malformed: it is not UTF-8");
  }
}

/** The error this answer is, or null for a 200. A redirect, a 204 or a 206 is as good as none: an error. */
function refusal(request: Request, answer: Answer): AgentWardenError | null {
  const status = answer.status;
  if (status === 200) return null;
  const value: Context = objectOf(answer) ?? {};
  const code = typeof value["code"] === "string" ? value["code"].slice(0, 100) : undefined;
  const retryAfterMs = retryAfter(answer.headers);
  const about = { requestId: requestIdOf(answer), statusCode: status, code, retryAfterMs };
  if (status >= 300 && status <= 399) {
    return new APIError(`Warden answered with a redirect (${status}), which is not followed: check baseUrl`, about);
  }
  const given = value["detail"];
  const detail = typeof given === "string" ? given.slice(0, 2000) : given === undefined ? "" : JSON.stringify(given);
  const message = detail || `Warden answered ${status}`;
  if (status === 401) return new AuthenticationError(message, about);
  if (status === 403) return new PermissionDeniedError(request.action ?? request.path, message, about);
  if (status === 404 && detail && request.agentId) return new AgentNotFoundError(request.agentId, about);
  if (status === 422) return new ValidationError(message, about);
  if (status === 429) return new RateLimitError(message, about);
  return new APIError(message, about);
}

/** Retry-After (RFC 9110, section 10.2.3) in milliseconds, a minute at most. */
function retryAfter(headers: Headers): number | undefined {
  const value = (headers.get("retry-after") ?? "").trim();
  if (/^\d{1,9}$/.test(value)) return Math.min(Number(value) * 1000, LONGEST_RETRY_AFTER);
  const then = Date.parse(value);
  if (!value || Number.isNaN(then)) return undefined;
  const now = Date.parse(headers.get("date") ?? "");
  return Math.min(Math.max(then - (Number.isNaN(now) ? Date.now() : now), 0), LONGEST_RETRY_AFTER);
}

function cleanKey(value: string | undefined): string {
  const key = value?.trim();
  if (!key) throw new ValidationError("No API key: pass apiKey or set AGENTWARDEN_API_KEY");
  if (!/^[\x21-\x7e]{8,4096}$/.test(key)) {
    throw new ValidationError("The API key is malformed: 8 or more printable ASCII characters without spaces");
  }
  return key;
}

function cleanUrl(given: string | undefined): string {
  const value = given?.trim();
  if (!value) throw new ValidationError("No server: pass baseUrl or set AGENTWARDEN_BASE_URL");
  let url: URL;
  try {
    url = new URL(value);
  } catch {
    throw new ValidationError("baseUrl is not a URL");
  }
  if (url.username || url.password || url.search || url.hash || /[\s\\]/.test(value)) {
    throw new ValidationError("baseUrl is a scheme, a host and at most a path: https://warden.example.com");
  }
  const local = /^(localhost|\[::1\]|127(\.\d{1,3}){3})$/.test(url.hostname);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && local)) {
    throw new ValidationError("baseUrl must be https://… (http only to localhost): keys must not travel in the clear");
  }
  return url.href.replace(/\/+$/, "");
}

/** The names in `failOpenActions`, each of one action. */
export function exactActions(actions: Iterable<string>): ReadonlySet<string> {
  if (typeof actions === "string") throw new ValidationError("failOpenActions is a set of exact action names, not one text");
  const named = new Set(actions);
  for (const action of named) {
    if (typeof action === "string" && /^[A-Za-z0-9_.:-]+$/.test(action)) continue;
    throw new ValidationError(`failOpenActions names exact actions, without wildcards: ${JSON.stringify(action)} is none`);
  }
  return named;
}

export function number(name: string, value: number, least: number, most: number): number {
  if (typeof value === "number" && value >= least && value <= most) return value;
  throw new ValidationError(`${name} is a number from ${least} to ${most}; not ${String(value)}`);
}

/** A whole number of at least 1, or undefined where there is none. */
export function seconds(name: string, value: number | undefined): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) return value;
  throw new ValidationError(`${name} is a whole number of seconds, at least 1; not ${String(value)}`);
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
