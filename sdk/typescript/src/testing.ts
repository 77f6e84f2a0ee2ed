/**
 * A Warden in memory, for the tests of your own agents.
 *
 *     const fake = new FakeWarden();
 *     fake.allow("stripe.refund", { upTo: 50 });
 *     fake.ask("stripe.refund", { upTo: 1000 });
 *     const guard = fake.client();
 *
 * The client is the real one; only the connection is replaced. What no rule names is denied, as a real server does.
 */

import { AgentWarden } from "./client.js";
import { decode, encode, same, type Context, type Json } from "./json.js";
import type { ApprovalStatus } from "./models.js";
import type { Options } from "./wire.js";

const API_KEY = "test_FakeWardenFakeWardenFakeWardenFakeWar";
const BASE_URL = "http://localhost";

export interface RecordedCheck {
  agentId: string;
  action: string;
  context: Context | null;
  reasoning: string | null;
  idempotencyKey: string | null;
  outcome: "allow" | "ask" | "deny";
  approvalId: string | null;
}

export interface RecordedLog {
  agentId: string;
  action: string;
  status: string;
  context: Context | null;
  approvalId: string | null;
  decisionId: string | null;
}

interface Rule {
  effect: "allow" | "ask" | "deny";
  upTo: number | null;
  reason: string | null;
  decide: "approved" | "denied" | null;
}

interface Held {
  id: string;
  digest: string;
  agentId: string;
  action: string;
  context: Context | null;
  expiresAt: string;
  status: ApprovalStatus;
  reason: string | null;
  decidedBy: string | null;
  decidedAt: string | null;
  effective: Context | null;
  decide: "approved" | "denied" | null;
  claim: Context | null;
  claimKey: string | null;
  comments: Context[];
}

interface Trouble {
  status: number | null;
  times: number;
  retryAfter: number | null;
}

/** A scriptable double of the server. */
export class FakeWarden {
  /** What was asked and logged, and the ids of claimed approvals, oldest first. */
  readonly checks: RecordedCheck[] = [];
  readonly logs: RecordedLog[] = [];
  readonly claims: string[] = [];
  readonly #agents: ReadonlySet<string> | null;
  readonly #rules = new Map<string, Rule[]>();
  readonly #approvals = new Map<string, Held>();
  readonly #said = new Map<string, { body: string; answer: Context }>();
  readonly #troubles: Trouble[] = [];
  readonly #waiters = new Set<() => void>();
  #count = 0;

  /** `agents`: the only ones that exist; left out, every agent does. */
  constructor(options: { agents?: Iterable<string> } = {}) {
    this.#agents = options.agents ? new Set(options.agents) : null;
  }

  /** What answers say of the policy; another one with each rule. */
  get policyVersion(): string {
    return `v${1 + [...this.#rules.values()].flat().length}`;
  }

  /** A client of this fake; `options` as for `AgentWarden`. */
  client(options: Options = {}): AgentWarden {
    const quiet = { onWarning: (): void => undefined };
    return new AgentWarden({ apiKey: API_KEY, baseUrl: BASE_URL, backoffMs: 1, fetch: this.fetch, ...quiet, ...options });
  }

  /** Let the action pass; with `upTo` only for a context whose `amount` is at most that. */
  allow(action: string, options: { upTo?: number } = {}): void {
    this.#rule(action, { effect: "allow", upTo: options.upTo ?? null, reason: null, decide: null });
  }

  /** Ask a person; `decide` answers for that person at the first look. */
  ask(action: string, options: { upTo?: number; decide?: "approved" | "denied" } = {}): void {
    this.#rule(action, { effect: "ask", upTo: options.upTo ?? null, reason: null, decide: options.decide ?? null });
  }

  /** Refuse the action, whatever else is said of it. */
  deny(action: string, options: { reason?: string } = {}): void {
    this.#rule(action, { effect: "deny", upTo: null, reason: options.reason ?? null, decide: null });
  }

  /** The ids of the approvals nobody has decided, oldest first. */
  get pending(): string[] {
    return [...this.#approvals.values()].filter((each) => each.status === "pending").map((each) => each.id);
  }

  /** Approve as a person would, with `effectiveContext` when that person changed what was asked. */
  approve(approvalId: string | null, options: { effectiveContext?: Context; reason?: string; by?: string } = {}): void {
    const held = this.#undecided(approvalId);
    held.effective = options.effectiveContext ?? null;
    this.#end(held, "approved", options.reason ?? null, options.by ?? "approver@example.com");
  }

  /** Deny as a person would. */
  reject(approvalId: string | null, options: { reason?: string; by?: string } = {}): void {
    const { reason = "Not this time", by = "approver@example.com" } = options;
    this.#end(this.#undecided(approvalId), "denied", reason, by);
  }

  /** Ask about it as a person would. */
  question(approvalId: string | null, text: string, options: { by?: string } = {}): void {
    const held = this.#approvals.get(approvalId ?? "");
    if (!held) throw new Error(`No approval ${approvalId}`);
    this.#say(held, options.by ?? "approver@example.com", "question", { text });
  }

  /** Let the time of a pending approval run out. */
  expire(approvalId: string | null): void {
    this.#end(this.#undecided(approvalId), "expired", null, null);
  }

  /** Answer the next `times` requests (by default all, until `reconnect`) with this status. */
  fail(status = 503, options: { times?: number; retryAfter?: number } = {}): void {
    this.#troubles.push({ status, times: options.times ?? Infinity, retryAfter: options.retryAfter ?? null });
    this.#wake();
  }

  /** Let the next `times` requests (by default all, until `reconnect`) find no server. */
  disconnect(options: { times?: number } = {}): void {
    this.#troubles.push({ status: null, times: options.times ?? Infinity, retryAfter: null });
    this.#wake();
  }

  /** End all trouble. */
  reconnect(): void {
    this.#troubles.length = 0;
  }

  /** The connection, for a client you make yourself (`fetch: fake.fetch`). */
  readonly fetch: typeof fetch = async (input, init) => {
    const url = new URL(String(input));
    const headers = new Headers(init?.headers);
    const [, , kind = "", id = "", verb = ""] = url.pathname.split("/");
    if (init?.method === "GET" && kind === "approvals") await this.#wait(id, url.searchParams.get("wait"), init.signal);
    this.#count++;
    const trouble = this.#trouble();
    if (trouble) return trouble;
    if (headers.get("X-API-Key") !== API_KEY) return this.#answer(401, { detail: "Invalid API key" });
    const text = typeof init?.body === "string" ? init.body : "{}";
    const value = decode(text) as Context;
    const key = headers.get("Idempotency-Key");
    if (kind === "check") return this.#check(value, text, key);
    if (kind === "log") return this.#log(value);
    if (kind === "whoami") return this.#answer(200, IDENTITY);
    const held = this.#approvals.get(id);
    if (kind !== "approvals" || !held) return this.#answer(404, { detail: "Approval not found" });
    if (verb === "claim") return this.#claim(held, key ?? "");
    if (verb === "comments") return this.#comment(held, value);
    return verb === "cancel" ? this.#cancel(held) : this.#shown(held);
  };

  #rule(action: string, rule: Rule): void {
    const rules = [...(this.#rules.get(action) ?? []), rule];
    // Deny wins; then the smallest tier that holds the amount; one without a maximum comes last.
    const rank = (each: Rule): number => (each.effect === "deny" ? -1 : (each.upTo ?? Infinity));
    this.#rules.set(action, rules.sort((one, other) => rank(one) - rank(other) || 0));
  }

  #trouble(): Response | null {
    const trouble = this.#troubles[0];
    if (!trouble) return null;
    if (--trouble.times <= 0) this.#troubles.shift();
    if (trouble.status === null) throw new TypeError("fetch failed", { cause: new Error("The fake is disconnected") });
    const headers = trouble.retryAfter === null ? {} : { "Retry-After": String(trouble.retryAfter) };
    return this.#answer(trouble.status, { detail: `Scripted ${trouble.status}` }, headers);
  }

  #answer(status: number, value: Context, headers: Record<string, string> = {}): Response {
    const all = { "Content-Type": "application/json", "X-Request-ID": `fake-${this.#count}`, ...headers };
    return new Response(encode(value, "answer"), { status, headers: all });
  }

  #check(value: Context, body: string, key: string | null): Response {
    const said = key === null ? undefined : this.#said.get(key);
    if (said && said.body !== body) {
      return this.#answer(422, { detail: "The idempotency key was used with another body" });
    }
    if (said) return this.#answer(200, said.answer);
    const agentId = String(value["agent_id"]);
    const action = String(value["action"]);
    const context = (value["context"] ?? null) as Context | null;
    if (this.#agents && !this.#agents.has(agentId)) return this.#answer(404, { detail: "Agent not found" });
    const [outcome, decided] = this.#decide(agentId, action, context);
    const answer = { ...decided, decision_id: `dec_${this.#count}`, policy_version: this.policyVersion };
    const approvalId = (decided["approval_id"] ?? null) as string | null;
    const reasoning = (value["reasoning"] ?? null) as string | null;
    this.checks.push({ agentId, action, context, reasoning, idempotencyKey: key, outcome, approvalId });
    if (key !== null) this.#said.set(key, { body, answer });
    return this.#answer(200, answer);
  }

  #decide(agentId: string, action: string, context: Context | null): [RecordedCheck["outcome"], Context] {
    const rules = this.#rules.get(action);
    if (!rules) return ["deny", no(`No permission for action '${action}'`)];
    if (rules[0]?.effect === "deny") return ["deny", no(rules[0].reason ?? `Action '${action}' is denied`)];
    const given = context?.["amount"];
    const amount = typeof given === "number" && given >= 0 ? given : null;
    const maximum = Math.max(...rules.map((rule) => rule.upTo ?? -1));
    if (amount === null && maximum >= 0) {
      return ["deny", no("A maximum applies, and 'amount' is not a number of at least 0")];
    }
    const rule = rules.find((each) => each.upTo === null || (amount ?? 0) <= each.upTo);
    if (!rule) return ["deny", no(`Amount ${amount?.toFixed(2)} exceeds maximum allowed ${maximum.toFixed(2)}`)];
    if (rule.effect === "allow") return ["allow", { allowed: true, requires_approval: false, reason: null, cacheable: true }];
    return this.#ask(agentId, action, context, rule);
  }

  #ask(agentId: string, action: string, context: Context | null, rule: Rule): [RecordedCheck["outcome"], Context] {
    const digest = encode([agentId, action, context]);
    let held = [...this.#approvals.values()].findLast((each) => each.digest === digest && each.claim === null);
    if (!held) {
      const id = `apr_${String(this.#approvals.size + 1).padStart(6, "0")}`;
      const undecided = { reason: null, decidedBy: null, decidedAt: null, effective: null, claim: null, claimKey: null, comments: [] };
      const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
      held = { id, digest, agentId, action, context, expiresAt, status: "pending", decide: rule.decide, ...undecided };
      this.#approvals.set(id, held);
    } else if (held.status === "approved" && held.effective !== null && !same(held.effective, context ?? {})) {
      const reason = `Approved with changes: read ${held.id}, claim it, and do exactly that`;
      const told = { ...no(reason), cacheable: false, approval_id: held.id, status: "denied", code: "edited" };
      return ["deny", { ...told, effective_context: held.effective }];
    } else if (held.status === "approved") {
      this.#take(held, `check-${this.#count}`);
      const told = { allowed: true, requires_approval: false, approval_id: held.id, status: "approved" };
      return ["allow", { ...told, reason: held.reason, effective_context: held.effective }];
    } else if (held.status !== "pending") {
      const told = { ...no(held.reason ?? `The request was ${held.status}`), cacheable: false };
      return ["deny", { ...told, approval_id: held.id, status: held.status }];
    }
    const told = { allowed: false, requires_approval: true, reason: "This action requires human approval" };
    const where = { approval_id: held.id, approval_url: `${BASE_URL}/approvals/${held.id}`, expires_at: held.expiresAt };
    return ["ask", { ...told, ...where, status: "pending" }];
  }

  #log(value: Context): Response {
    const text = (name: string): string | null => (value[name] ?? null) as string | null;
    const context = (value["context"] ?? null) as Context | null;
    const [agentId, action, status] = [text("agent_id") ?? "", text("action") ?? "", text("status") ?? ""];
    const of = { approvalId: text("approval_id"), decisionId: text("decision_id") };
    this.logs.push({ agentId, action, status, context, ...of });
    const told = { id: `log_${this.logs.length}`, organization_id: "org_fake", created_at: new Date().toISOString() };
    return this.#answer(200, { ...told, agent_id: agentId, action, status, context });
  }

  #shown(held: Held): Response {
    if (held.decide && held.status === "pending") this.#end(held, held.decide, null, "approver@example.com");
    const decision = {
      status: held.status,
      reason: held.reason,
      decided_at: held.decidedAt,
      decided_by: held.decidedBy,
      expires_at: held.expiresAt,
    };
    const told = { id: held.id, status: held.status, decision, claim: held.claim, comments: held.comments };
    return this.#answer(200, { ...told, context: held.context, effective_context: held.effective });
  }

  #claim(held: Held, key: string): Response {
    if (held.claim && held.claimKey !== key) {
      return this.#answer(409, { detail: "The approval was claimed before", code: "already_claimed" });
    }
    if (held.status !== "approved") {
      const code = held.status === "expired" ? "approval_expired" : "not_approved";
      return this.#answer(409, { detail: `The approval is ${held.status}`, code });
    }
    this.#take(held, key);
    const told = { id: held.id, status: "approved", claim: held.claim, effective_context: held.effective ?? held.context };
    return this.#answer(200, { ...told, action: held.action, agent_id: held.agentId });
  }

  #take(held: Held, key: string): void {
    if (held.claim) return;
    const now = Date.now();
    const [claimedAt, deadlineAt] = [new Date(now), new Date(now + 300_000)].map((each) => each.toISOString());
    held.claim = { claimed_at: claimedAt as Json, deadline_at: deadlineAt as Json, digest: held.digest };
    held.claimKey = key;
    this.claims.push(held.id);
  }

  #cancel(held: Held): Response {
    if (held.status === "pending") this.#end(held, "cancelled", null, null);
    if (held.status !== "cancelled") {
      return this.#answer(409, { detail: `This approval is ${held.status} already`, code: "already_decided" });
    }
    return this.#shown(held);
  }

  #comment(held: Held, value: Context): Response {
    if (held.status !== "pending") {
      return this.#answer(409, { detail: `This approval is ${held.status} already`, code: "already_decided" });
    }
    return this.#answer(200, this.#say(held, held.agentId, "answer", value));
  }

  #say(held: Held, by: string, kind: string, value: Context): Context {
    const id = `cmt_${this.#count}_${held.comments.length}`;
    const said = { id, by, kind, ...value, created_at: new Date().toISOString() };
    held.comments.push(said);
    return said;
  }

  #undecided(approvalId: string | null): Held {
    const held = this.#approvals.get(approvalId ?? "");
    if (held?.status === "pending") return held;
    throw new Error(`No pending approval ${approvalId}: it is ${held?.status ?? "unknown"}`);
  }

  #end(held: Held, status: ApprovalStatus, reason: string | null, by: string | null): void {
    Object.assign(held, { status, reason, decidedBy: by, decidedAt: new Date().toISOString() });
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }

  /** Hold a long poll until its approval is decided, trouble starts, or its time is up. */
  async #wait(id: string, seconds: string | null, signal: AbortSignal | null | undefined): Promise<void> {
    const until = Date.now() + 1000 * Number.parseInt(seconds ?? "0", 10);
    for (;;) {
      const held = this.#approvals.get(id);
      const left = until - Date.now();
      if (held?.status !== "pending" || held.decide || this.#troubles.length || left <= 0) return;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          this.#waiters.delete(done);
          resolve();
        };
        const timer = setTimeout(done, left);
        this.#waiters.add(done);
        signal?.addEventListener("abort", done, { once: true });
      });
      signal?.throwIfAborted();
    }
  }
}

const IDENTITY = {
  key_id: "key_fake",
  key_name: "The key of a fake",
  organization_id: "org_fake",
  mode: "test",
  agent_id: null,
  environment: null,
  scopes: ["sdk"],
  expires_at: null,
};

function no(reason: string): Context {
  return { allowed: false, requires_approval: false, reason, cacheable: true };
}
