import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  AgentNotFoundError,
  AgentWarden,
  AgentWardenError,
  APIError,
  AuthenticationError,
  NetworkError,
  PermissionDeniedError,
  RateLimitError,
  ValidationError,
} from "../src/index.js";
import { ALLOWED, DENIED, KEY, PENDING, ScriptedWarden, type Reply } from "./server.js";

let warden: ScriptedWarden;
before(async () => (warden = await new ScriptedWarden().start()));
after(() => warden.close());

test("a check sends what was asked, and is what the server said", async () => {
  warden.script({ body: ALLOWED }, { body: DENIED }, { body: PENDING });
  const guard = warden.client();
  const answers = [];
  for (let i = 0; i < 3; i++) answers.push(await guard.check("bot", "x.y", { amount: 42.5 }, { reasoning: "lost" }));
  assert.deepEqual(answers.map((each) => [each.allowed, each.requiresApproval]), [[true, false], [false, false], [false, true]]);
  assert.equal(answers[2]?.approvalId, "apr_1");
  assert.equal(answers[0]?.requestId, "req-7");
  const [seen] = warden.seen;
  assert.equal(`${seen?.method} ${seen?.path}`, "POST /sdk/check");
  assert.deepEqual(JSON.parse(seen?.body ?? ""), { agent_id: "bot", action: "x.y", context: { amount: 42.5 }, reasoning: "lost" });
  assert.equal(seen?.headers["x-api-key"], KEY);
  assert.equal(new Set(warden.seen.map((each) => each.headers["idempotency-key"])).size, 3);
});

test("an allow by a grant names it, and a denial its code", async () => {
  warden.script({ body: { ...ALLOWED, grant_id: "grt_1" } }, { body: ALLOWED }, { body: { ...DENIED, code: "edited" } });
  const guard = warden.client();
  const answers = [];
  for (let i = 0; i < 3; i++) answers.push(await guard.check("bot", "x.y"));
  assert.deepEqual(answers.map((each) => [each.grantId, each.code]), [["grt_1", null], [null, null], [null, "edited"]]);
});

const NOT_AN_ALLOW: [string, Reply][] = [
  ["nothing", { body: "" }],
  ["a word", { body: "true" }],
  ["a list", { body: [ALLOWED] }],
  ["half of it", { body: JSON.stringify(ALLOWED).slice(0, -3) }],
  ["a text for true", { body: { ...ALLOWED, allowed: "true" } }],
  ["one for true", { body: { ...ALLOWED, allowed: 1 } }],
  ["nothing for true", { body: { requires_approval: false } }],
  ["both", { body: { ...ALLOWED, requires_approval: true, approval_id: "apr_1" } }],
  ["no id to wait for", { body: { ...PENDING, approval_id: null } }],
  ["a key twice", { body: '{"allowed": false, "requires_approval": false, "allowed": true}' }],
  ["an escaped key twice", { body: '{"allowed": false, "requires_approval": false, "\\u0061llowed": true}' }],
  ["NaN", { body: '{"allowed": true, "requires_approval": false, "x": NaN}' }],
  ["1e400", { body: '{"allowed": true, "requires_approval": false, "effective_context": {"amount": 1e400}}' }],
  ["a hundred thousand brackets", { body: "[".repeat(100_000) }],
  ["a depth of ten thousand", { body: `{"allowed": "x", "y": ${"[".repeat(10_000)}${"]".repeat(10_000)}}` }],
  ["HTML", { body: JSON.stringify(ALLOWED), headers: { "Content-Type": "text/html" } }],
  ["a prototype", { body: '{"__proto__": {"allowed": true, "requires_approval": false}}' }],
  ["a cut connection", { body: ALLOWED, cut: 10 }],
  ["a closed connection", { hangUp: true }],
  ["silence", { body: ALLOWED, delayMs: 1500 }],
  ["five megabytes", { body: JSON.stringify({ ...ALLOWED, x: "x".repeat(5_000_000) }) }],
  ...[201, 202, 206, 301, 302, 400, 401, 403, 404, 409, 413, 418, 422, 429, 500, 502, 503, 504].map(
    (status): [string, Reply] => [String(status), { status, body: ALLOWED, headers: { Location: "/sdk/check" } }],
  ),
];

for (const [name, reply] of NOT_AN_ALLOW) {
  test(`${name} is never an allow`, async () => {
    warden.script(reply);
    await assert.rejects(warden.client({ timeoutMs: 600 }).check("bot", "x.y"), AgentWardenError);
  });
}

test("each refusal is an error of its own", async () => {
  const expected: [number, new (...args: never[]) => Error][] = [
    [401, AuthenticationError],
    [403, PermissionDeniedError],
    [404, AgentNotFoundError],
    [409, APIError],
    [422, ValidationError],
    [429, RateLimitError],
    [503, APIError],
  ];
  for (const [status, kind] of expected) {
    warden.script({ status, body: { detail: `no, ${KEY}`, code: "c" } });
    await assert.rejects(warden.client({ maxRetries: 0 }).check("bot", "x.y"), (error: AgentWardenError) => {
      assert.ok(error instanceof kind, String(status));
      assert.deepEqual([error.statusCode, error.code, error.requestId], [status, "c", "req-7"]);
      assert.ok(!error.message.includes(KEY));
      return true;
    });
  }
});

test("retries keep one idempotency key, and stop at the first answer", async () => {
  warden.script({ status: 503 }, { hangUp: true }, { status: 429, headers: { "Retry-After": "0" } }, { body: ALLOWED });
  assert.ok((await warden.client().check("bot", "x.y")).allowed);
  assert.equal(warden.seen.length, 4);
  assert.equal(new Set(warden.seen.map((each) => each.headers["idempotency-key"])).size, 1);
});

test("what would not fare better is not tried again", async () => {
  for (const status of [401, 403, 404, 409, 413, 422]) {
    warden.script({ status });
    await assert.rejects(warden.client().check("bot", "x.y"));
    assert.equal(warden.seen.length, 1);
  }
});

test("a server that asks for more patience than there is is not asked again", async () => {
  warden.script({ status: 503, headers: { "Retry-After": "30" } });
  const started = performance.now();
  await assert.rejects(warden.client().check("bot", "x.y"), APIError);
  assert.ok(performance.now() - started < 1000);
  assert.equal(warden.seen.length, 1);
});

test("nobody there is a NetworkError, without the key", async () => {
  const guard = new AgentWarden({ apiKey: KEY, baseUrl: "http://127.0.0.1:9", timeoutMs: 300 });
  await assert.rejects(guard.check("bot", "x.y"), (error: Error) => error instanceof NetworkError && !error.message.includes(KEY));
});

test("a context that JSON would bend is refused before anything is sent", async () => {
  warden.script({ body: ALLOWED });
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  for (const value of [NaN, Infinity, 10n, () => 1, Symbol("x"), "\ud800", new Map(), circle]) {
    const context = { value } as never;
    await assert.rejects(warden.client().check("bot", "x.y", context), ValidationError);
  }
  await assert.rejects(warden.client().check("", "x.y"), ValidationError);
  await assert.rejects(warden.client().check("bot", "x.y", [] as never), ValidationError);
  assert.equal(warden.seen.length, 0);
});

test("a setting that cannot work is refused", () => {
  const urls = ["http://warden.example.com", "ftp://localhost", "https://u:p@warden.example.com", "https://h?x=1", "nonsense"];
  for (const baseUrl of urls) assert.throws(() => new AgentWarden({ apiKey: KEY, baseUrl }), ValidationError);
  for (const apiKey of ["", "short", "with a space in it", "ключ-ключ-ключ"]) {
    assert.throws(() => new AgentWarden({ apiKey, baseUrl: "https://warden.example.com" }), ValidationError);
  }
  assert.throws(() => warden.client({ timeoutMs: NaN }), ValidationError);
  assert.throws(() => warden.client({ maxRetries: -1 }), ValidationError);
});

test("the key is in no form of the client", () => {
  const guard = warden.client();
  assert.ok(!JSON.stringify(guard).includes(KEY));
});
