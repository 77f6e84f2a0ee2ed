import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { AgentWarden, AgentWardenError, ValidationError, type Options } from "../src/index.js";
import { ALLOWED, DENIED, KEY, PENDING, ScriptedWarden, type Reply } from "./server.js";

const OPEN = { failOpenActions: ["page.view"], maxRetries: 0 };
const LOGGED = { id: "log_1", organization_id: "o", agent_id: "bot", action: "page.view", status: "success", context: {}, created_at: "2026-01-01T00:00:00Z" };

let warden: ScriptedWarden;
before(async () => (warden = await new ScriptedWarden().start()));
after(() => warden.close());

const told: string[] = [];
function client(options: Options = {}): AgentWarden {
  told.length = 0;
  return warden.client({ ...OPEN, onWarning: (message) => told.push(message), ...options });
}

function logs(): { agent_id: string; action: string; status: string; context: Record<string, unknown> }[] {
  return warden.seen.filter((each) => each.path === "/sdk/log").map((each) => JSON.parse(each.body));
}

const SILENCE: [string, Reply][] = [
  ["nobody answers", { hangUp: true }],
  ["500 is answered", { status: 500, body: "" }],
  ["502 is answered", { status: 502, body: "<html>" }],
  ["503 is answered", { status: 503, body: { detail: "busy" } }],
  ["504 is answered", { status: 504, body: "" }],
  ["an answer is cut", { body: ALLOWED, cut: 2 }],
  ["an answer is late", { body: ALLOWED, delayMs: 1000 }],
];
for (const [name, silence] of SILENCE) {
  test(`a named action goes ahead while ${name}, and no other`, async () => {
    warden.script(silence);
    const guard = client({ timeoutMs: 400 });
    const result = await guard.check("bot", "page.view", { page: 7 });
    assert.deepEqual([result.allowed, result.requiresApproval, result.failOpen, result.cached], [true, false, true, false]);
    assert.match(told.join("\n"), /page\.view.*failOpenActions/);
    await assert.rejects(guard.check("bot", "page.edit", { page: 7 }), AgentWardenError);
    await assert.rejects(guard.check("bot", "page.view.all", { page: 7 }), AgentWardenError);
  });
}

test("it is reported when Warden is back", async () => {
  const guard = client();
  warden.script({ hangUp: true });
  for (let page = 0; page < 12; page++) assert.ok((await guard.check("bot", "page.view", { page })).allowed);
  assert.deepEqual(logs(), []);
  warden.script({ body: { ...DENIED, ...LOGGED } });
  assert.equal((await guard.check("bot", "page.view", { page: 99 })).allowed, false);
  assert.deepEqual(logs().map((each) => each.context["page"]), Array.from({ length: 12 }, (_, page) => page));
  const [first] = logs();
  assert.deepEqual([first?.status, first?.agent_id, first?.action], ["success", "bot", "page.view"]);
  assert.deepEqual([first?.context["fail_open"], first?.context["fail_open_cause"]], [true, "NetworkError"]);
  assert.match(String(first?.context["fail_open_at"]), /Z$/);
});

test("closing delivers what is overdue, and says what it could not", async () => {
  for (const [reply, left] of [[{ body: LOGGED }, 0], [{ hangUp: true }, 1]] as [Reply, number][]) {
    const guard = client();
    warden.script({ hangUp: true });
    await guard.check("bot", "page.view");
    warden.script(reply);
    await guard.close();
    assert.equal(logs().length, 1);
    assert.equal(told.filter((each) => each.includes("could not be reported")).length, left);
  }
});

const ANSWERS: Reply[] = [
  ...[401, 403, 404, 409, 422, 429].map((status): Reply => ({ status, body: { detail: "no" } })),
  { status: 302, body: "" },
  { status: 202, body: ALLOWED },
  { body: "{}" },
  { body: { ...ALLOWED, allowed: "true" } },
  { body: ALLOWED, headers: { "Content-Type": "text/html" } },
];
for (const reply of ANSWERS) {
  test(`${reply.status ?? 200} ${JSON.stringify(reply.body).slice(0, 30)} is an answer, and no silence`, async () => {
    warden.script(reply);
    await assert.rejects(client().check("bot", "page.view"), AgentWardenError);
  });
}

test("a real no stays a no", async () => {
  for (const body of [DENIED, PENDING]) {
    warden.script({ body });
    const result = await client().check("bot", "page.view");
    assert.deepEqual([result.allowed, result.failOpen], [false, false]);
  }
});

test("what is carried out openly is marked in its outcome, and never remembered", async () => {
  warden.script({ hangUp: true });
  const guard = client({ cacheTtlMs: 30_000 });
  assert.equal(await guard.execute("bot", "page.view", () => 42, { n: 1 }), 42);
  warden.script({ body: { ...DENIED, ...LOGGED } });
  assert.equal((await guard.check("bot", "page.view", { n: 1 })).allowed, false);
  assert.deepEqual(logs().map((each) => [each.context["fail_open"], each.context["n"]]), [[true, 1], [true, 1]]);
});

test("the list names exact actions", () => {
  for (const failOpenActions of ["page.view", ["page.*"], ["*"], [""], [7], ["a b"]]) {
    const options = { apiKey: KEY, baseUrl: warden.url, failOpenActions: failOpenActions as string[] };
    assert.throws(() => new AgentWarden(options), ValidationError);
  }
});
