/**
 * Ask Warden before an agent acts: check, wait for a person, claim, act, log.
 *
 *     import { AgentWarden } from "agentwarden-client";
 *
 *     const guard = new AgentWarden();
 *     if ((await guard.check("customer-support-bot", "stripe.refund", { amount: 42.5 })).allowed) { … }
 *
 * Whatever goes wrong, the answer is never an allow: a call returns what Warden said, or throws.
 */

export { AgentWarden } from "./client.js";
export type { CheckOptions, ClaimOptions, CommentOptions, ExecuteOptions, ProtectOptions } from "./client.js";
export { BatchError, type BatchResult } from "./batch.js";
export { errorContext, type ErrorContextOptions } from "./error-context.js";
export {
  AgentNotFoundError,
  AgentWardenError,
  APIError,
  ApprovalRequiredError,
  AuthenticationError,
  NetworkError,
  PermissionDeniedError,
  RateLimitError,
  ReceiptError,
  ValidationError,
} from "./errors.js";
export type { Context, Json } from "./json.js";
export type { Approval, ApprovalStatus, CheckResult, Claim, Comment, Identity, LogResult, LogStatus } from "./models.js";
export type { Finish, Observer } from "./observe.js";
export { verifyReceipt, type Receipt, type ReceiptOptions } from "./receipts.js";
export { UsedReceipts } from "./used-receipts.js";
export type { Options } from "./wire.js";
export type { LogOptions } from "./requests.js";
export { VERSION } from "./wire.js";
