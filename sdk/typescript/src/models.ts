/**
 * What Warden answers, and the strict reading of it. A field of the wrong type is not guessed at: the whole answer is
 * refused with an APIError. Fields this version does not know are ignored.
 */

import { APIError } from "./errors.js";
import { decode, type Context, type Json } from "./json.js";

const STATUSES = ["pending", "approved", "denied", "expired", "cancelled"] as const;
export type ApprovalStatus = (typeof STATUSES)[number];
export type LogStatus = "success" | "failed" | "denied" | "blocked" | "pending" | "pending_approval";

/** The answer to one check. Act only if `allowed` is true; it and `requiresApproval` never both are. */
export interface CheckResult {
  readonly allowed: boolean;
  readonly requiresApproval: boolean;
  readonly reason: string | null;
  readonly approvalId: string | null;
  readonly decisionId: string | null;
  readonly permission: string | null;
  readonly status: string | null;
  readonly approvalUrl: string | null;
  readonly expiresAt: Date | null;
  readonly policyVersion: string | null;
  /** What was approved, where an approval allowed this: that, and only that, is allowed. */
  readonly effectiveContext: Context | null;
  /** Why, where it is denied and a program can do something about it. */
  readonly code: string | null;
  /** Denied as it was asked, but approved as a person changed it: claim the approval, and do exactly that. */
  readonly approvedOtherwise: boolean;
  /** The event of the log that says so: its id and leaf hash. */
  readonly audit: Context | null;
  /** The grant that allowed this, where one did. */
  readonly grantId: string | null;
  /** Whether the answer may be remembered: it depends on nothing but the policy and the question. */
  readonly cacheable: boolean;
  /** Given from this client's memory. */
  readonly cached: boolean;
  /** Warden was not there: allowed by your own `failOpenActions`, not by it. */
  readonly failOpen: boolean;
  readonly requestId: string | undefined;
}

/** One entry of the log, as the server wrote it. */
export interface LogResult {
  readonly id: string;
  readonly agentId: string;
  readonly organizationId: string;
  readonly action: string;
  readonly status: string;
  readonly context: Context | null;
  readonly createdAt: Date;
  readonly requestId: string | undefined;
}

/** A question of a person (`kind` is question), or an answer of the agent (answer). */
export interface Comment {
  readonly id: string;
  readonly by: string;
  readonly kind: string;
  readonly text: string;
  readonly createdAt: Date;
  readonly attachment: Context | null;
}

/** The state of one approval. Claim it before acting. */
export interface Approval {
  readonly id: string;
  readonly status: ApprovalStatus;
  /** Nobody has decided yet, and it has neither expired nor been cancelled. */
  readonly pending: boolean;
  /** Approved. Whether it is still free to be claimed, only `claim` can tell. */
  readonly approved: boolean;
  readonly reason: string | null;
  readonly decidedAt: Date | null;
  readonly decidedBy: string | null;
  readonly expiresAt: Date | null;
  readonly context: Context | null;
  /** What was approved; null: exactly what was asked. */
  readonly effectiveContext: Context | null;
  readonly claimed: boolean;
  /** `changes_requested`: denied, but ask again as `reason` says. */
  readonly code: string | null;
  /** What people ask, and your answers. */
  readonly comments: readonly Comment[];
  readonly requestId: string | undefined;
}

/** An approval taken, once, by this agent: the right to act, until `deadlineAt`. */
export interface Claim {
  readonly approvalId: string;
  readonly digest: string;
  readonly claimedAt: Date;
  readonly deadlineAt: Date | null;
  readonly action: string | null;
  readonly agentId: string | null;
  /** What was approved, the approver's edits included; null: exactly what was asked. */
  readonly effectiveContext: Context | null;
  /** Signed, for whoever carries the action out (`verifyReceipt`); null where it was not signed yet. */
  readonly receipt: string | null;
  /** The whole answer. */
  readonly answer: Context;
  readonly requestId: string | undefined;
}

/** Whose key this is; `agentId` null: it speaks for every agent of the organization. */
export interface Identity {
  readonly keyId: string;
  readonly keyName: string;
  readonly organizationId: string;
  readonly mode: string;
  readonly agentId: string | null;
  readonly environment: string | null;
  readonly scopes: readonly string[];
  readonly expiresAt: Date | null;
  readonly requestId: string | undefined;
}

/** One HTTP answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export function requestIdOf(answer: Answer): string | undefined {
  const value = answer.headers.get("x-request-id") ?? "";
  return /^[\x21-\x7e]{1,200}$/.test(value) ? value : undefined;
}

/** The body as one JSON object, or null. */
export function objectOf(answer: Answer): Context | null {
  const kind = (answer.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase();
  if (kind !== "application/json") return null;
  try {
    const value = decode(answer.text);
    return isObject(value) ? value : null;
  } catch {
    return null; // the caller says that the answer is malformed
  }
}

export function isObject(value: unknown): value is Context {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

class Fields {
  constructor(
    readonly value: Context,
    private readonly answer: Answer,
    private readonly where = "",
  ) {}

  static of(answer: Answer): Fields {
    const value = objectOf(answer);
    if (value === null) throw malformed(answer, "it is not one JSON object");
    return new Fields(value, answer);
  }

  malformed(what: string): APIError {
    return malformed(this.answer, what);
  }

  get requestId(): string | undefined {
    return requestIdOf(this.answer);
  }

  private get(name: string): Json | undefined {
    return Object.hasOwn(this.value, name) ? this.value[name] : undefined;
  }

  flag(name: string): boolean {
    const value = this.get(name);
    if (typeof value === "boolean") return value;
    throw this.malformed(`'${this.where}${name}' is neither true nor false`);
  }

  /** False where it is not there. */
  maybe(name: string): boolean {
    return this.get(name) === undefined ? false : this.flag(name);
  }

  text(name: string): string | null {
    const value = this.get(name) ?? null;
    if (value === null || typeof value === "string") return value;
    throw this.malformed(`'${this.where}${name}' is not a text`);
  }

  need(name: string): string {
    const value = this.text(name);
    if (!value) throw this.malformed(`'${this.where}${name}' is missing`);
    return value;
  }

  when(name: string): Date | null {
    const value = this.text(name);
    if (value === null) return null;
    const moment = new Date(value);
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value) || Number.isNaN(moment.getTime())) {
      throw this.malformed(`'${this.where}${name}' is not a time with a zone`);
    }
    return moment;
  }

  needWhen(name: string): Date {
    const moment = this.when(name);
    if (moment === null) throw this.malformed(`'${this.where}${name}' is missing`);
    return moment;
  }

  object(name: string): Context | null {
    const value = this.get(name) ?? null;
    if (value === null || isObject(value)) return value;
    throw this.malformed(`'${this.where}${name}' is not an object`);
  }

  texts(name: string): readonly string[] {
    const value = this.get(name);
    if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value;
    throw this.malformed(`'${this.where}${name}' is not a list of texts`);
  }

  fields(name: string): Fields | null {
    const value = this.object(name);
    return value && new Fields(value, this.answer, `${this.where}${name}.`);
  }

  list(name: string): Fields[] {
    const value = this.get(name) ?? [];
    if (!Array.isArray(value)) throw this.malformed(`'${this.where}${name}' is not a list`);
    return value.map((each) => {
      if (!isObject(each)) throw this.malformed(`'${this.where}${name}' is not a list of objects`);
      return new Fields(each, this.answer, `${this.where}${name}.`);
    });
  }

  sameId(id: string): void {
    if (this.need("id") !== id) throw this.malformed("it is about another approval");
  }
}

/** The error for an answer that cannot be read; it never quotes the body. */
export function malformed(answer: Answer, what: string): APIError {
  const about = { requestId: requestIdOf(answer), statusCode: answer.status };
  return new APIError(`Warden's answer is malformed: ${what}`, about);
}

export function parseCheck(answer: Answer): CheckResult {
  const fields = Fields.of(answer);
  const result = {
    allowed: fields.flag("allowed"),
    requiresApproval: fields.flag("requires_approval"),
    reason: fields.text("reason"),
    approvalId: fields.text("approval_id"),
    decisionId: fields.text("decision_id"),
    permission: fields.text("permission"),
    status: fields.text("status"),
    approvalUrl: fields.text("approval_url"),
    expiresAt: fields.when("expires_at"),
    policyVersion: fields.text("policy_version"),
    effectiveContext: fields.object("effective_context"),
    code: fields.text("code"),
    audit: fields.object("audit"),
    grantId: fields.text("grant_id"),
    cacheable: fields.maybe("cacheable"),
    cached: false,
    failOpen: false,
    requestId: fields.requestId,
  };
  if (result.allowed && result.requiresApproval) throw fields.malformed("both allowed and in need of approval");
  if (result.requiresApproval && !result.approvalId) throw fields.malformed("'approval_id' is missing");
  const approvedOtherwise = !result.allowed && result.code === "edited" && Boolean(result.approvalId);
  return Object.freeze({ ...result, approvedOtherwise });
}

/** The allow of an action that is named to go ahead without Warden. */
export function openly(reason: string): CheckResult {
  return Object.freeze({
    allowed: true,
    requiresApproval: false,
    reason,
    approvalId: null,
    decisionId: null,
    permission: null,
    status: null,
    approvalUrl: null,
    expiresAt: null,
    policyVersion: null,
    effectiveContext: null,
    code: null,
    approvedOtherwise: false,
    audit: null,
    grantId: null,
    cacheable: false,
    cached: false,
    failOpen: true,
    requestId: undefined,
  });
}

export function parseLog(answer: Answer): LogResult {
  const fields = Fields.of(answer);
  return Object.freeze({
    id: fields.need("id"),
    agentId: fields.need("agent_id"),
    organizationId: fields.need("organization_id"),
    action: fields.need("action"),
    status: fields.need("status"),
    context: fields.object("context"),
    createdAt: fields.needWhen("created_at"),
    requestId: fields.requestId,
  });
}

export function parseApproval(answer: Answer, id: string): Approval {
  const fields = Fields.of(answer);
  fields.sameId(id);
  const status = STATUSES.find((each) => each === fields.need("status"));
  if (!status) throw fields.malformed("'status' is none of the five it may be");
  const decision = fields.fields("decision");
  return Object.freeze({
    id,
    status,
    pending: status === "pending",
    approved: status === "approved",
    reason: decision?.text("reason") ?? null,
    decidedAt: decision?.when("decided_at") ?? null,
    decidedBy: decision?.text("decided_by") ?? null,
    expiresAt: decision?.when("expires_at") ?? fields.when("expires_at"),
    context: fields.object("context"),
    effectiveContext: fields.object("effective_context"),
    claimed: fields.object("claim") !== null,
    code: decision?.text("code") ?? null,
    comments: fields.list("comments").map(readComment),
    requestId: fields.requestId,
  });
}

export function parseComment(answer: Answer): Comment {
  return readComment(Fields.of(answer));
}

function readComment(fields: Fields): Comment {
  return Object.freeze({
    id: fields.need("id"),
    by: fields.need("by"),
    kind: fields.need("kind"),
    text: fields.need("text"),
    createdAt: fields.needWhen("created_at"),
    attachment: fields.object("attachment"),
  });
}

export function parseClaim(answer: Answer, id: string): Claim {
  const fields = Fields.of(answer);
  fields.sameId(id);
  if (fields.need("status") !== "approved") throw fields.malformed("claimed, but not approved");
  const claim = fields.fields("claim");
  if (!claim) throw fields.malformed("'claim' is missing");
  return Object.freeze({
    approvalId: id,
    digest: claim.need("digest"),
    claimedAt: claim.needWhen("claimed_at"),
    deadlineAt: claim.when("deadline_at"),
    action: fields.text("action"),
    agentId: fields.text("agent_id"),
    effectiveContext: fields.object("effective_context"),
    receipt: claim.text("receipt"),
    answer: fields.value,
    requestId: fields.requestId,
  });
}

export function parseIdentity(answer: Answer): Identity {
  const fields = Fields.of(answer);
  return Object.freeze({
    keyId: fields.need("key_id"),
    keyName: fields.text("key_name") ?? "",
    organizationId: fields.need("organization_id"),
    mode: fields.need("mode"),
    agentId: fields.text("agent_id"),
    environment: fields.text("environment"),
    scopes: fields.texts("scopes"),
    expiresAt: fields.when("expires_at"),
    requestId: fields.requestId,
  });
}
