/**
 * What can go wrong, as one tree. None of it ever means "allowed".
 *
 *     AgentWardenError
 *     ├── AuthenticationError      401: the key is missing, wrong, revoked or expired
 *     ├── PermissionDeniedError    the answer was no (or 403: this key may not speak for that agent)
 *     ├── ApprovalRequiredError    a person has to decide first; carries the approval's id
 *     ├── AgentNotFoundError       404: no such agent
 *     ├── RateLimitError           429: too many calls
 *     ├── ValidationError          422, or an argument refused before anything was sent
 *     ├── BatchError               some items of a batch failed; carries what came of each
 *     ├── NetworkError             nothing was heard: no connection, a time-out, a broken answer
 *     ├── ReceiptError             a receipt does not show what it should: do not act
 *     └── APIError                 anything else: 409, 413, 5xx, a redirect, an answer that is not well formed
 */

/** What every error may know of the answer it comes from. */
export interface About {
  /** Quote it when asking the server's admin. */
  requestId?: string | undefined;
  statusCode?: number | undefined;
  /** The server's short name of what happened, such as `already_claimed`. */
  code?: string | undefined;
  /** Milliseconds, where the server said when to come back. */
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** The root of the tree. */
export class AgentWardenError extends Error {
  readonly requestId: string | undefined;
  readonly statusCode: number | undefined;
  readonly code: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, about: About = {}) {
    super(about.requestId ? `${message} [request ${about.requestId}]` : message, { cause: about.cause });
    this.name = new.target.name;
    this.requestId = about.requestId;
    this.statusCode = about.statusCode;
    this.code = about.code;
    this.retryAfterMs = about.retryAfterMs;
  }
}

export class AuthenticationError extends AgentWardenError {}
export class RateLimitError extends AgentWardenError {}
export class ValidationError extends AgentWardenError {}
export class NetworkError extends AgentWardenError {}
export class APIError extends AgentWardenError {}

/** The receipt does not show what it should: do not act. The text says why. */
export class ReceiptError extends AgentWardenError {}

/** The action must not be done: by policy, by a person, or because the approval can no longer be used. */
export class PermissionDeniedError extends AgentWardenError {
  constructor(
    readonly action: string,
    readonly reason: string | null,
    about: About & { approvalId?: string | null } = {},
  ) {
    super(`Permission denied for action '${action}'${reason ? `: ${reason}` : ""}`, about);
    this.approvalId = about.approvalId ?? null;
  }

  readonly approvalId: string | null;
}

/** A person has to decide first: wait for `approvalId`; `approvalUrl` is where the person decides. */
export class ApprovalRequiredError extends AgentWardenError {
  constructor(
    readonly action: string,
    readonly reason: string | null,
    readonly approvalId: string,
    readonly approvalUrl: string | null,
    about: About = {},
  ) {
    super(`Action '${action}' requires human approval${reason ? `: ${reason}` : ""}`, about);
  }
}

/** The server knows no agent of this name in the key's organization. */
export class AgentNotFoundError extends AgentWardenError {
  constructor(
    readonly agentId: string,
    about: About = {},
  ) {
    super(`Agent '${agentId}' not found`, about);
  }
}
