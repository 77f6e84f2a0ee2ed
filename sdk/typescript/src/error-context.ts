/** A failure as fields of a log's context: what a person needs to see, and nothing that opens a door. */

import type { Context } from "./json.js";

const LONGEST_MESSAGE = 2000; // characters
const LONGEST_STACK = 4000;
const DEEPEST = 20; // frames: the innermost

// What looks like a credential, wherever it stands.
const SECRETS = [
  /\b(?:ak|test|wpat|sk|pk|rk|ghp|gho|xox[a-z])[_-][A-Za-z0-9_-]{12,}/g, // keys and tokens by prefix
  /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?/g, // JWTs
  /(?<=:\/\/)[^/\s:@]+:[^/\s@]+(?=@)/g, // a URL's user and password
  /\b(?:basic|bearer)\s+[A-Za-z0-9._~+/=-]{8,}/gi,
  /\b[\w-]*(?:password|passwd|secret|token|api[_-]?key|authorization)["']?\s*[=:]\s*(?:"[^"]*"|'[^']*'|[^\s,;)}\]]+)/gi,
];

export interface ErrorContextOptions {
  retryCount?: number | undefined;
  /** Whether the stack is told (true). */
  stack?: boolean | undefined;
}

/**
 * The error for the context of a `failed` log: `guard.log(…, "failed", { amount: 20, ...errorContext(error) })`.
 *
 * `error_type`, `error_message`, and, where there are such, `error_code`, `request_id`, `retry_count` and `traceback`:
 * the innermost frames. Texts are cut, and what looks like a credential becomes [redacted].
 */
export function errorContext(error: unknown, options: ErrorContextOptions = {}): Context {
  const failure = error instanceof Error ? error : null;
  const told: Context = {
    error_type: failure ? failure.name : typeof error,
    error_message: clean(failure ? failure.message : String(error), LONGEST_MESSAGE),
  };
  const code: unknown = failure && "code" in failure ? failure.code : undefined;
  if (typeof code === "string") told["error_code"] = clean(code, LONGEST_MESSAGE);
  if (typeof code === "number" && Number.isFinite(code)) told["error_code"] = code;
  const requestId: unknown = failure && "requestId" in failure ? failure.requestId : undefined;
  if (typeof requestId === "string") told["request_id"] = clean(requestId, LONGEST_MESSAGE);
  if (options.retryCount !== undefined) told["retry_count"] = options.retryCount;
  if ((options.stack ?? true) && failure?.stack) told["traceback"] = frames(failure.stack);
  return told;
}

/** Frames alone: the message, which stands above them, may be long. */
function frames(stack: string): string {
  const lines = stack.split("\n").filter((line) => /^\s+at /.test(line));
  return clean(lines.slice(0, DEEPEST).join("\n"), LONGEST_STACK);
}

/** The text without what looks like a credential, cut, and fit to be sent. */
export function clean(text: string, most: number): string {
  return SECRETS.reduce((left, secret) => left.replace(secret, "[redacted]"), text)
    .slice(0, most)
    .replace(/\p{Surrogate}/gu, "\ufffd");
}
