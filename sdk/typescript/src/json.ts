/** JSON, strictly: what is sent is exact, what arrives is unambiguous. */

import { ValidationError } from "./errors.js";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Context = { [name: string]: Json };

/** The value as JSON with sorted keys, so that equal values give equal text; throws for what JSON would drop or bend. */
export function encode(value: unknown, what = "context"): string {
  return write(value, what, new Set());
}

function write(value: unknown, what: string, above: Set<object>): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new ValidationError(`The ${what} holds ${value}, which is not JSON`);
    return JSON.stringify(value);
  }
  if (typeof value === "string") {
    if (/\p{Surrogate}/u.test(value)) throw new ValidationError(`The ${what} holds a lone surrogate`);
    return JSON.stringify(value);
  }
  if (value instanceof Date) return write(value.toISOString(), what, above);
  if (typeof value !== "object") throw new ValidationError(`The ${what} holds a ${typeof value}, which is not JSON`);
  if (above.has(value)) throw new ValidationError(`The ${what} contains itself`);
  above.add(value);
  let text: string;
  if (Array.isArray(value)) {
    text = `[${value.map((each) => write(each, what, above)).join(",")}]`;
  } else {
    const plain = Object.getPrototypeOf(value);
    if (plain !== Object.prototype && plain !== null) {
      throw new ValidationError(`The ${what} holds a ${plain?.constructor?.name ?? "thing"}, which is not JSON`);
    }
    const fields = Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .sort(([one], [other]) => (one < other ? -1 : 1));
    text = `{${fields.map(([name, inner]) => `${write(name, what, above)}:${write(inner, what, above)}`).join(",")}}`;
  }
  above.delete(value);
  return text;
}

/** Whether two JSON values are equal as JSON. */
export function same(one: unknown, other: unknown): boolean {
  return encode(one) === encode(other);
}

/** The one JSON value in `text`; throws for anything else, a key that stands twice in an object included. */
export function decode(text: string): Json {
  const value = JSON.parse(text, finite) as Json;
  refuseDoubleKeys(text);
  return value;
}

/** 1e400 is more than a number holds. */
function finite(_: string, value: Json): Json {
  if (typeof value === "number" && !Number.isFinite(value)) throw new SyntaxError("a number is too large");
  return value;
}

/** Walks over JSON that is known to be well formed. */
function refuseDoubleKeys(text: string): void {
  const objects: (Set<string> | null)[] = []; // null: an array
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;
  let last = "";
  for (let match = tokens.exec(text); match; match = tokens.exec(text)) {
    const token = match[0];
    if (token === "{") objects.push(new Set());
    else if (token === "[") objects.push(null);
    else if (token === "}" || token === "]") objects.pop();
    else if (token === ":") {
      const name = JSON.parse(last) as string;
      const names = objects.at(-1);
      if (names?.has(name)) throw new SyntaxError(`the key ${last} stands twice`);
      names?.add(name);
    }
    last = token;
  }
}
