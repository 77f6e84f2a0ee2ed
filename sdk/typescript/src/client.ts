/** The client: what an agent asks, waits for, takes and logs. */

import { batchContext, runEach, type BatchResult } from "./batch.js";
import { Cache } from "./cache.js";
import { clean } from "./error-context.js";
import {
  AgentWardenError,
  APIError,
  ApprovalRequiredError,
  AuthenticationError,
  PermissionDeniedError,
  ValidationError,
} from "./errors.js";
import { settleAtEnd, settled } from "./ending.js";
import { encode, same, type Context } from "./json.js";
import {
  openly,
  parseApproval,
  parseCheck,
  parseClaim,
  parseComment,
  parseIdentity,
  parseLog,
  type Approval,
  type CheckResult,
  type Claim,
  type Comment,
  type Identity,
  type LogResult,
  type LogStatus,
} from "./models.js";
import { Observers } from "./observe.js";
import { Outbox } from "./outbox.js";
import { contextOf, logRequest, name, path, text, type LogOptions } from "./requests.js";
import { exactActions, newKey, number, post, retryable, seconds, sleep, unreachable, Wire, type Options, type Request } from "./wire.js";

const LONG_POLL = 30_000; // the most the server holds one
const OUTAGE_PATIENCE = 300_000; // a wait for a person outlives a server that cannot be reached by so much
const FLUSH_TIMEOUT = 2_000;
const LONGEST_CACHE_TTL = 60_000;

export interface CheckOptions {
  /** Why the agent wants this, for the approver. */
  reasoning?: string | undefined;
  /** Seconds after which a request for approval is moot. */
  expiresIn?: number | undefined;
  /** The same key always gets the same answer; by default each call has its own, kept through its retries. */
  idempotencyKey?: string | undefined;
}

export interface ClaimOptions {
  /** Keep it to ask again after a crash: the same key gets the same claim. */
  idempotencyKey?: string | undefined;
  /** Whom the receipt is for, as they call themselves to `verifyReceipt`. */
  audience?: string | undefined;
}

export interface CommentOptions {
  /** A text that belongs to the answer. */
  attachment?: { name: string; text: string } | undefined;
  idempotencyKey?: string | undefined;
}

export interface ExecuteOptions {
  reasoning?: string | undefined;
  expiresIn?: number | undefined;
  /** Wait for a person where one has to decide; without it, ApprovalRequiredError is thrown. */
  wait?: boolean | undefined;
  /** Milliseconds; by default until it is decided or expires. */
  waitTimeoutMs?: number | undefined;
}

export interface ProtectOptions<A extends unknown[]> extends ExecuteOptions {
  agentId: string;
  /** What is judged and shown: an object, or a function of the same arguments that returns one. */
  context: Context | ((...args: A) => Context);
  /** The arguments to call with when the approver changed the context; without it, such an approval is refused. */
  apply?: ((approved: Context, ...args: A) => A) | undefined;
}

/** Asks Warden before an agent acts. Make one, share it, and close it. Whatever goes wrong, it never allows. */
export class AgentWarden {
  readonly #wire: Wire;
  readonly #warn: (message: string) => void;
  readonly #open: ReadonlySet<string>;
  readonly #cache: Cache;
  readonly #observers: Observers;
  readonly #outbox: Outbox;

  constructor(options: Options = {}) {
    this.#wire = new Wire(options, (error) => {
      if (distrusted(error)) this.#cache.clear();
    });
    this.#open = exactActions(options.failOpenActions ?? []);
    const ttlMs = number("cacheTtlMs", options.cacheTtlMs ?? 0, 0, LONGEST_CACHE_TTL);
    this.#cache = new Cache(ttlMs, Math.floor(number("cacheSize", options.cacheSize ?? 1024, 1, 1_000_000)));
    this.#warn = options.onWarning ?? ((message) => console.warn(`agentwarden: ${message}`));
    this.#observers = new Observers(options.observers ?? [], this.#warn);
    this.#outbox = new Outbox((request, timeoutMs) => this.#wire.once(request, timeoutMs), this.#warn);
  }

  /** Ask whether the agent may do the action now: act only if the result's `allowed` is true. */
  async check(agentId: string, action: string, context?: Context | null, options: CheckOptions = {}): Promise<CheckResult> {
    return this.#observers.check(agentId, action, () => this.#check(agentId, action, context, options));
  }

  async #check(agentId: string, action: string, context: Context | null | undefined, options: CheckOptions): Promise<CheckResult> {
    const body = {
      agent_id: name("agentId", agentId),
      action: name("action", action),
      context: contextOf(context),
      reasoning: text("reasoning", options.reasoning),
      expires_in: seconds("expiresIn", options.expiresIn),
    };
    const request = post("/sdk/check", body, options.idempotencyKey ?? newKey(), agentId, action);
    const cached = this.#cache.on && options.idempotencyKey === undefined;
    const canonical = cached ? encode(body.context) : "";
    const known = cached ? this.#cache.get(agentId, action, canonical) : null;
    if (known) return known;
    const asked = { at: this.#cache.now(), generation: this.#cache.generation };
    let result: CheckResult;
    try {
      result = parseCheck(await this.#exchange(request));
    } catch (error) {
      if (this.#open.has(action) && unreachable(error)) return this.#goAhead(agentId, action, body.context, error);
      throw error;
    }
    if (cached) this.#cache.put(agentId, action, canonical, result, asked);
    return result;
  }

  /** Forget every remembered answer. */
  clearCache(): void {
    this.#cache.clear();
  }

  /** Record what came of an action. */
  async log(
    agentId: string,
    action: string,
    status: LogStatus,
    context?: Context | null,
    options: LogOptions = {},
  ): Promise<LogResult> {
    return parseLog(await this.#exchange(logRequest(agentId, action, status, context, options)));
  }

  /** The approval as it stands. */
  async getApproval(approvalId: string): Promise<Approval> {
    return parseApproval(await this.#exchange({ method: "GET", path: path(approvalId) }), approvalId);
  }

  /**
   * Wait until somebody decides, or the request ends otherwise; when `timeoutMs` are over, it is returned as it stands,
   * still `pending`. A server that restarts meanwhile is waited for, five minutes at most.
   */
  async waitForApproval(approvalId: string, options: { timeoutMs?: number | undefined } = {}): Promise<Approval> {
    const timeout = options.timeoutMs ?? Infinity;
    if (!(timeout >= 0)) throw new ValidationError("timeoutMs is a number, at least 0");
    return this.#observers.wait(approvalId, () => this.#wait(approvalId, timeout));
  }

  async #wait(approvalId: string, timeout: number): Promise<Approval> {
    const deadline = performance.now() + timeout;
    let heard = performance.now();
    let failures = 0;
    for (;;) {
      const askedAt = performance.now();
      const wait = Math.floor(Math.min(LONG_POLL, Math.max(deadline - askedAt, 0)) / 1000);
      const request: Request = { method: "GET", path: path(approvalId) + (wait ? `?wait=${wait}s` : "") };
      let pause: number;
      try {
        const answer = await this.#wire.once(request, wait * 1000 + this.#wire.timeoutMs);
        const approval = parseApproval(answer, approvalId);
        heard = performance.now();
        if (!approval.pending || heard >= deadline) return approval;
        failures = 0;
        // A proxy or an older server may answer at once: then ask once a second, not in a spin.
        pause = wait ? Math.max(0, 1000 - (heard - askedAt)) : deadline - heard;
      } catch (error) {
        if (!retryable(error) || performance.now() >= Math.min(deadline, heard + OUTAGE_PATIENCE)) throw error;
        pause = this.#wire.pause(failures++, error);
      }
      await sleep(Math.min(pause, Math.max(deadline - performance.now(), 0)));
    }
  }

  /** Take an approval, once, before acting on it; the claim says what exactly was approved. */
  async claim(approvalId: string, options: ClaimOptions = {}): Promise<Claim> {
    const { audience, idempotencyKey = newKey() } = options;
    const body = audience === undefined ? undefined : { audience: name("audience", audience) };
    return parseClaim(await this.#exchange(post(`${path(approvalId)}/claim`, body, idempotencyKey)), approvalId);
  }

  /** Give up: nobody is asked any more. */
  async cancel(approvalId: string): Promise<Approval> {
    return parseApproval(await this.#exchange(post(`${path(approvalId)}/cancel`, undefined)), approvalId);
  }

  /** Answer what people ask about a request; their questions are in `comments` of the approval. */
  async comment(approvalId: string, text: string, options: CommentOptions = {}): Promise<Comment> {
    const { attachment, idempotencyKey = newKey() } = options;
    const file = attachment && { name: name("attachment.name", attachment.name), text: name("attachment.text", attachment.text) };
    const body = { text: name("text", text), attachment: file };
    return parseComment(await this.#exchange(post(`${path(approvalId)}/comments`, body, idempotencyKey)));
  }

  /** Whose key this is. */
  async whoami(): Promise<Identity> {
    return parseIdentity(await this.#exchange({ method: "GET", path: "/sdk/whoami" }));
  }

  /**
   * Check, call `callback`, log what came of it, and return its value.
   *
   * A callback with a parameter is given the context that was approved; one without is called bare, and refused when the
   * approver changed something it could not know of. What the callback throws is logged as `failed` and thrown again.
   */
  async execute<T>(
    agentId: string,
    action: string,
    callback: (approved: Context) => T | Promise<T>,
    context?: Context | null,
    options: ExecuteOptions = {},
  ): Promise<T> {
    if (typeof callback !== "function") throw new ValidationError("callback is a function");
    const asked = JSON.parse(encode(context ?? {})) as Context;
    const result = await this.check(agentId, action, context, options);
    const report = (status: LogStatus, told: Context, more: Context = {}): Promise<void> =>
      this.#report(agentId, action, status, { ...told, ...more }, result);
    const refuse = async (status: LogStatus, reason: string, code?: string): Promise<never> => {
      await report(status, asked, { reason });
      const about = { approvalId: result.approvalId, requestId: result.requestId, code };
      throw new PermissionDeniedError(action, reason, about);
    };
    const mustBeTold = async (effective: Context | null): Promise<void> => {
      if (effective !== null && callback.length === 0 && !same(asked, effective)) {
        const reason = "it was approved with changes, and the callback takes no argument to learn of them";
        await refuse("blocked", reason, "changed_by_approver");
      }
    };
    let effective = result.effectiveContext;
    // Denied as it was asked, but approved as a person changed it: that is what is claimed, and done.
    const otherwise = result.approvedOtherwise;
    if (result.requiresApproval || otherwise) {
      const approvalId = result.approvalId ?? "";
      const approval = options.wait || otherwise ? await this.waitForApproval(approvalId, { timeoutMs: options.waitTimeoutMs }) : null;
      if (approval === null || approval.pending) {
        await report("pending_approval", asked);
        const about = { requestId: result.requestId };
        throw new ApprovalRequiredError(action, result.reason, approvalId, result.approvalUrl, about);
      }
      if (!approval.approved) {
        return refuse("denied", approval.reason ?? `The request was ${approval.status}`, approval.status);
      }
      await mustBeTold(approval.effectiveContext); // before the claim: one nobody can act upon is not used up
      try {
        effective = (await this.claim(approvalId)).effectiveContext;
      } catch (error) {
        if (error instanceof APIError && error.statusCode === 409) return refuse("blocked", error.message, error.code);
        throw error;
      }
    } else if (!result.allowed) {
      return refuse("blocked", result.reason ?? "denied");
    }
    await mustBeTold(effective);
    const approved = structuredClone(effective ?? asked);
    const marks: Context = result.failOpen ? { fail_open: true } : {};
    const started = performance.now();
    let value: T;
    try {
      value = await callback(approved);
    } catch (error) {
      await report("failed", effective ?? asked, { error: describe(error), ...marks });
      throw error;
    }
    await report("success", effective ?? asked, { duration_ms: Math.round(performance.now() - started), ...marks });
    return value;
  }

  /**
   * Check once for all `items`, call `run` with each, log once: `execute` for many of the same. The number of items is added
   * to the context as `count`. Every item is tried; where some fail, the batch is logged as `failed` and BatchError says which.
   */
  async batch<T, R>(
    agentId: string,
    action: string,
    items: Iterable<T>,
    run: (item: T) => R | Promise<R>,
    context?: Context | null,
    options: ExecuteOptions = {},
  ): Promise<BatchResult<T, R>> {
    const all = [...items];
    return this.execute(agentId, action, () => runEach(action, all, run), batchContext(context, all.length), options);
  }

  /** A function that asks before it runs: each call goes through `execute`. */
  protect<A extends unknown[], R>(
    action: string,
    options: ProtectOptions<A>,
  ): (run: (...args: A) => R | Promise<R>) => (...args: A) => Promise<R> {
    return (run) =>
      (...args) => {
        const context = typeof options.context === "function" ? options.context(...args) : options.context;
        const { apply } = options;
        const asked = JSON.parse(encode(context)) as Context;
        const callback = apply
          ? (approved: Context) => run(...(same(asked, approved) ? args : apply(approved, ...args)))
          : () => run(...args);
        return this.execute(options.agentId, action, callback, context, options);
      };
  }

  /**
   * Try once more, for two seconds, to deliver what could not be reported; after it, the client is of no more use.
   * Who forgets it still reports what is overdue when nothing is left to do (`beforeExit`), but not on `process.exit()`.
   */
  async close(): Promise<void> {
    if (this.#wire.closed) return;
    await this.#outbox.flush(FLUSH_TIMEOUT);
    this.#wire.close();
    settled(this);
    if (this.#outbox.size) this.#warn(`${this.#outbox.size} outcomes could not be reported to Warden`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #exchange(request: Request): ReturnType<Wire["exchange"]> {
    const answer = await this.#wire.exchange(request);
    if (this.#outbox.isIdle) await this.#outbox.flush(FLUSH_TIMEOUT); // one call pays for it, the others go on
    if (!this.#outbox.size) settled(this);
    return answer;
  }

  /** What is named in `failOpenActions` does not wait for a Warden that is not there, and is told it later. */
  #goAhead(agentId: string, action: string, context: Context | null, error: AgentWardenError): CheckResult {
    this.#warn(
      `Warden could not be reached; '${action}' of agent '${agentId}' goes ahead, as it is one of failOpenActions (${error.message})`,
    );
    const at = new Date().toISOString();
    const told = { ...context, fail_open: true, fail_open_cause: error.name, fail_open_at: at };
    if (!this.#later(logRequest(agentId, action, "success", told, {}))) {
      this.#warn(`too many outcomes wait for Warden; one of '${action}' is in this warning alone`);
    }
    return openly(`Warden could not be reached; '${action}' is one of failOpenActions`);
  }

  #later(request: Request): boolean {
    if (!this.#outbox.add(request)) return false;
    settleAtEnd(this);
    return true;
  }

  /** Log an outcome; never throws. What the server cannot take now is sent later. */
  async #report(agentId: string, action: string, status: LogStatus, context: Context, of: CheckResult): Promise<void> {
    let request: Request | undefined;
    try {
      request = logRequest(agentId, action, status, context, { approvalId: of.approvalId, decisionId: of.decisionId });
      await this.#exchange(request);
    } catch (error) {
      const kept = request && retryable(error) && this.#later(request);
      const told = error instanceof Error ? error.message : String(error);
      this.#warn(`the outcome '${status}' of '${action}' ${kept ? "is kept for later" : "was not logged"}: ${told}`);
    }
  }
}

/** After such an answer, what was answered before counts for nothing: the key, or the policy, is another. */
function distrusted(error: AgentWardenError): boolean {
  return error instanceof AuthenticationError || error.statusCode === 403 || error.code === "policy_changed";
}

/** A failure as data: its type, its message (shortened) and its code, where it has one. */
function describe(error: unknown): Context {
  if (!(error instanceof Error)) return { type: typeof error, message: clean(String(error), 2000), code: null };
  const code = "code" in error && (typeof error.code === "string" || typeof error.code === "number") ? error.code : null;
  const requestId = error instanceof AgentWardenError && error.requestId ? { request_id: error.requestId } : {};
  return { type: error.name, message: clean(error.message, 2000), code, ...requestId };
}
