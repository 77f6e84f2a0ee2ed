import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Cache } from "../src/cache.js";
import { AgentWarden, AuthenticationError, ValidationError, type CheckResult } from "../src/index.js";
import { ALLOWED, DENIED, KEY, PENDING, ScriptedWarden } from "./server.js";

const KEEP = { ...ALLOWED, policy_version: "v1", cacheable: true };

let warden: ScriptedWarden;
before(async () => (warden = await new ScriptedWarden().start()));
after(() => warden.close());

test("a cacheable answer is given from memory", async () => {
  const guard = warden.client({ cacheTtlMs: 30_000 });
  for (const body of [KEEP, { ...DENIED, cacheable: true, policy_version: "v1" }]) {
    warden.script({ body });
    const first = await guard.check("bot", `x.${body.allowed}`, { a: 1, b: [2] });
    const again = await guard.check("bot", `x.${body.allowed}`, { b: [2], a: 1 });
    assert.deepEqual([first.cached, again.cached], [false, true]);
    assert.equal(first.allowed, again.allowed);
    assert.equal(warden.seen.length, 1);
  }
});

for (const body of [
  ALLOWED,
  { ...KEEP, cacheable: false },
  { ...KEEP, policy_version: null },
  { ...KEEP, approval_id: "apr_1" },
  { ...PENDING, cacheable: true, policy_version: "v1" },
  { ...DENIED, cacheable: true, policy_version: "v1", approval_id: "apr_1" },
]) {
  test(`${JSON.stringify(body)} is asked again`, async () => {
    const guard = warden.client({ cacheTtlMs: 30_000 });
    warden.script({ body });
    await guard.check("bot", "x.y");
    await guard.check("bot", "x.y");
    assert.equal(warden.seen.length, 2);
  });
}

test("nothing is remembered unless it is asked for", async () => {
  const guard = warden.client();
  warden.script({ body: KEEP });
  await guard.check("bot", "x.y");
  await guard.check("bot", "x.y");
  assert.equal(warden.seen.length, 2);
});

test("agent, action and context tell answers apart", async () => {
  const guard = warden.client({ cacheTtlMs: 30_000 });
  warden.script({ body: KEEP });
  const calls: [string, string, ({ n?: number | boolean | string } | null)?][] = [
    ["a", "x.y"],
    ["b", "x.y"],
    ["a", "x.z"],
    ["a", "x.y", {}],
    ["a", "x.y", { n: 1 }],
    ["a", "x.y", { n: true }],
    ["a", "x.y", { n: "1" }],
  ];
  for (const [agent, action, context] of calls) await guard.check(agent, action, context as never);
  assert.equal(warden.seen.length, calls.length);
});

test("an explicit key is never answered from memory", async () => {
  const guard = warden.client({ cacheTtlMs: 30_000 });
  warden.script({ body: KEEP });
  await guard.check("bot", "x.y");
  await guard.check("bot", "x.y", null, { idempotencyKey: "mine" });
  assert.equal(warden.seen.length, 2);
});

test("a new policy puts old answers out of reach", async () => {
  const guard = warden.client({ cacheTtlMs: 30_000 });
  warden.script({ body: KEEP });
  await guard.check("bot", "x.y");
  warden.script({ body: { ...DENIED, policy_version: "v2" } });
  await guard.check("bot", "other.action");
  assert.equal((await guard.check("bot", "x.y")).allowed, false);
});

test("a refused key, a changed policy and clearCache empty it", async () => {
  const guard = warden.client({ cacheTtlMs: 30_000 });
  const forget: [string, () => Promise<unknown>][] = [
    ["clearCache", async () => guard.clearCache()],
    ["401", async () => assert.rejects(guard.check("bot", "x.z"), AuthenticationError)],
    ["403", async () => assert.rejects(guard.getApproval("apr_1"))],
    ["policy_changed", async () => assert.rejects(guard.claim("apr_1"))],
  ];
  for (const [how, forgets] of forget) {
    warden.script({ body: KEEP });
    assert.ok((await guard.check("bot", "x.y")).allowed);
    const status = how === "policy_changed" ? 409 : Number(how);
    warden.script({ status: status || 200, body: { detail: "no", code: how } });
    await forgets();
    warden.script({ body: DENIED });
    assert.equal((await guard.check("bot", "x.y")).allowed, false, how);
  }
});

test("a time of memory is at most a minute", () => {
  for (const cacheTtlMs of [-1, 60_001, NaN, "30", true]) {
    const options = { apiKey: KEY, baseUrl: warden.url, cacheTtlMs: cacheTtlMs as number };
    assert.throws(() => new AgentWarden(options), ValidationError);
  }
  assert.throws(() => warden.client({ cacheSize: 0 }), ValidationError);
});

const answer = (action: string): CheckResult =>
  ({ allowed: true, requiresApproval: false, approvalId: null, policyVersion: "v1", cacheable: true, reason: action }) as CheckResult;

function put(cache: Cache, action: string, at = 0): void {
  cache.put("bot", action, "{}", answer(action), { at, generation: cache.generation });
}

test("answers age from when they were asked for", () => {
  let now = 0;
  const cache = new Cache(30, 10, () => now);
  put(cache, "x.y", -5);
  now = 24.9;
  assert.ok(cache.get("bot", "x.y", "{}"));
  now = 25;
  assert.equal(cache.get("bot", "x.y", "{}"), null);
  assert.equal(cache.size, 0);
});

test("the least recently used goes first", () => {
  const cache = new Cache(30, 2, () => 0);
  put(cache, "a");
  put(cache, "b");
  cache.get("bot", "a", "{}");
  put(cache, "c");
  assert.ok(cache.get("bot", "a", "{}"));
  assert.equal(cache.get("bot", "b", "{}"), null);
  assert.equal(cache.size, 2);
});

test("an answer asked for before a clear is not kept after it", () => {
  const cache = new Cache(30, 2, () => 0);
  const generation = cache.generation;
  cache.clear();
  cache.put("bot", "x.y", "{}", answer("x.y"), { at: 0, generation });
  assert.equal(cache.get("bot", "x.y", "{}"), null);
});
