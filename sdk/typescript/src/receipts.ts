/**
 * Receipts: an executor's proof that a person approved exactly this action, verified with the public key alone.
 *
 *     const used = new UsedReceipts("/var/lib/payments/receipts");
 *     const receipt = await verifyReceipt(token, PUBLIC_KEY, { audience: "https://payments.example.com", used, context });
 */

import { createHash, createPublicKey, verify } from "node:crypto";

import { ReceiptError, ValidationError } from "./errors.js";
import { decode, encode, type Context } from "./json.js";
import { isObject } from "./models.js";
import type { UsedReceipts } from "./used-receipts.js";

const TYPE = "warden-receipt+jwt";
// The one algorithm there is, by the name that Warden writes (RFC 8037) and by the one that replaces it (RFC 9864).
const ALGORITHMS: readonly unknown[] = ["EdDSA", "Ed25519"];
const HEADER = ["alg", "typ", "kid"];
const TEXTS = ["iss", "jti", "sub", "aud", "agent", "action", "digest", "context_sha256", "policy_version"] as const;
const NUMBERS = ["iat", "exp", "approved_at", "index"] as const;
const LEEWAY = 30; // seconds that two clocks may differ

/** What was approved, and by whom. `claims` has everything that was signed. */
export interface Receipt {
  readonly approvalId: string;
  readonly eventId: string;
  readonly log: string;
  readonly index: number;
  readonly audience: string;
  readonly agent: string;
  readonly action: string;
  readonly digest: string;
  readonly contextSha256: string;
  readonly policyVersion: string;
  readonly approvedAt: Date;
  readonly claimedAt: Date;
  readonly expiresAt: Date;
  readonly approvers: readonly Context[];
  readonly claims: Context;
}

export interface ReceiptOptions {
  /** Whom the receipt has to be for: you. */
  audience: string;
  /** Asked last, whether this is the first use of the receipt of this id: an UsedReceipts, or your own. Only `true` is a yes. */
  used: UsedReceipts | ((id: string, expiresAt: Date) => boolean | Promise<boolean>);
  /** What is about to be done, which must be what was approved. */
  agent?: string;
  action?: string;
  context?: Context;
  /** Another time than now, for tests. */
  now?: Date;
}

/**
 * The receipt, if one of the keys signed it for this audience, it is in time, and it was not used before.
 *
 * `publicKey` is a verifier key as Warden's log page shows it, or the 32 bytes in base64; several, while keys are rotated.
 * Rejects with ReceiptError. Await it before you act.
 */
export async function verifyReceipt(
  receipt: string,
  publicKey: string | Iterable<string>,
  options: ReceiptOptions,
): Promise<Receipt> {
  const keys = (typeof publicKey === "string" ? [publicKey] : [...publicKey]).map(readKey);
  const claims = readReceipt(receipt, keys);
  const [found, expires] = read(claims);
  const at = (options.now?.getTime() ?? Date.now()) / 1000;
  // Said so that a time that is none, NaN, is refused.
  if (found.audience !== options.audience) throw new ReceiptError("this receipt is for another audience");
  if (!(at <= expires + LEEWAY)) throw new ReceiptError("this receipt has expired");
  if (!(at >= Number(claims["iat"]) - LEEWAY)) throw new ReceiptError("this receipt is not valid yet: are the clocks right?");
  // What is named counts, undefined too: it is no way to ask for less.
  if ("agent" in options && options.agent !== found.agent) throw new ReceiptError("this receipt is for another agent");
  if ("action" in options && options.action !== found.action) throw new ReceiptError("this receipt is for another action");
  if ("context" in options && contextSha256(options.context) !== found.contextSha256) {
    throw new ReceiptError("what is to be done is not what was approved");
  }
  const { used } = options;
  const first = await (typeof used === "function" ? used(found.eventId, found.expiresAt) : used.firstUse(found.eventId, found.expiresAt));
  if (first !== true) throw new ReceiptError("this receipt was used already");
  return found;
}

/** What a receipt says, if one of these public keys signed it; nothing else is looked at. */
function readReceipt(receipt: string, keys: readonly Buffer[]): Context {
  const pieces = typeof receipt === "string" ? receipt.split(".") : [];
  const [header, claims, signature] = pieces.map(bytes);
  if (!header || !claims || !signature || pieces.length !== 3) throw new ReceiptError("this is no receipt");
  const head = object(header);
  const said = object(claims);
  if (!ALGORITHMS.includes(head["alg"]) || head["typ"] !== TYPE || !Object.keys(head).every((name) => HEADER.includes(name))) {
    throw new ReceiptError("this is no receipt: its header is another");
  }
  const signed = Buffer.from(`${pieces[0]}.${pieces[1]}`);
  if (!keys.some((key) => isSigned(signed, signature, key))) throw new ReceiptError("no key that you trust signed this receipt");
  return said;
}

function isSigned(signed: Buffer, signature: Buffer, key: Buffer): boolean {
  const jwk = { kty: "OKP", crv: "Ed25519", x: key.toString("base64url") };
  return verify(null, signed, createPublicKey({ key: jwk, format: "jwk" }), signature);
}

/** Base64url in its one form: without that, a receipt could be altered and still be taken. */
function bytes(text: string): Buffer {
  const data = Buffer.from(text, "base64url");
  if (data.toString("base64url") !== text) throw new ReceiptError("this is no receipt");
  return data;
}

function object(data: Buffer): Context {
  let value: unknown;
  try {
    value = decode(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data));
  } catch (error) {
    throw new ReceiptError("this is no receipt", { cause: error });
  }
  if (!isObject(value)) throw new ReceiptError("this is no receipt");
  return value;
}

/** The 32 bytes of a public key: a C2SP verifier key (name+id+base64), or base64. */
function readKey(text: string): Buffer {
  const base64 = text.trim().replace(/^[^\s+]+\+[0-9a-f]{8}\+/, "");
  const decoded = Buffer.from(base64, "base64");
  const data = decoded.length === 33 && decoded[0] === 1 ? decoded.subarray(1) : decoded;
  if (data.length !== 32 || decoded.toString("base64") !== base64) {
    throw new ReceiptError("this is no public key of Warden: copy it from the page of the log");
  }
  return data;
}

/** SHA-256 of the context as RFC 8785 writes it, in hex; `encode` writes so. */
function contextSha256(context: Context | undefined): string {
  if (!isObject(context)) throw new ReceiptError("the context is no JSON: it is not an object");
  try {
    return createHash("sha256").update(encode(context)).digest("hex");
  } catch (error) {
    if (error instanceof ValidationError) throw new ReceiptError(`the context is no JSON: ${error.message}`, { cause: error });
    throw error;
  }
}

/** The claims as a Receipt, and when it expires, in seconds. */
function read(claims: Context): [Receipt, number] {
  const lacks = (): never => {
    throw new ReceiptError("this receipt lacks something: was it made by a newer Warden?");
  };
  const get = (name: string): unknown => (Object.hasOwn(claims, name) ? claims[name] : undefined);
  const text = (name: (typeof TEXTS)[number]): string => {
    const value = get(name);
    return typeof value === "string" && value ? value : lacks();
  };
  const number = (name: (typeof NUMBERS)[number]): number => {
    const value = get(name);
    return typeof value === "number" && Number.isSafeInteger(value) ? value : lacks();
  };
  const moment = (name: (typeof NUMBERS)[number]): Date => new Date(number(name) * 1000);
  const approvers = get("approvers");
  if (!Array.isArray(approvers) || approvers.length === 0 || !approvers.every(isObject)) return lacks();
  const receipt = {
    approvalId: text("sub"),
    eventId: text("jti"),
    log: text("iss"),
    index: number("index"),
    audience: text("aud"),
    agent: text("agent"),
    action: text("action"),
    digest: text("digest"),
    contextSha256: text("context_sha256"),
    policyVersion: text("policy_version"),
    approvedAt: moment("approved_at"),
    claimedAt: moment("iat"),
    expiresAt: moment("exp"),
    approvers,
    claims,
  };
  return [Object.freeze(receipt), number("exp")];
}
