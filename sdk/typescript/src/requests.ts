/** What is sent, checked before it is. */

import { ValidationError } from "./errors.js";
import type { Context } from "./json.js";
import type { LogStatus } from "./models.js";
import { newKey, post, type Request } from "./wire.js";

const LOG_STATUSES = ["success", "failed", "denied", "blocked", "pending", "pending_approval"];

export interface LogOptions {
  ipAddress?: string | undefined;
  /** The approval, or the decision, that this is the outcome of. */
  approvalId?: string | null | undefined;
  decisionId?: string | null | undefined;
}

export function logRequest(
  agentId: string,
  action: string,
  status: LogStatus,
  context: Context | null | undefined,
  options: LogOptions,
): Request {
  if (!LOG_STATUSES.includes(status)) throw new ValidationError(`status is one of ${LOG_STATUSES.join(", ")}`);
  const body = {
    agent_id: name("agentId", agentId),
    action: name("action", action),
    status,
    context: contextOf(context),
    ip_address: text("ipAddress", options.ipAddress),
    approval_id: text("approvalId", options.approvalId),
    decision_id: text("decisionId", options.decisionId),
  };
  return post("/sdk/log", body, newKey(), agentId, action);
}

/** A text, or undefined where there is none. */
export function text(what: string, value: string | null | undefined): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === "string") return value;
  throw new ValidationError(`${what} is a text; not ${typeof value}`);
}

export function name(what: string, value: string): string {
  if (typeof value === "string" && value.trim()) return value;
  throw new ValidationError(`${what} is a text that is not empty`);
}

export function contextOf(value: Context | null | undefined): Context | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "object" && !Array.isArray(value)) return value;
  throw new ValidationError("context is an object of JSON values");
}

export function path(approvalId: string): string {
  if (typeof approvalId === "string" && /^[A-Za-z0-9_-]{1,128}$/.test(approvalId)) return `/sdk/approvals/${approvalId}`;
  throw new ValidationError("approvalId is an id such as apr_…");
}
