import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";

import { AgentWardenError, NetworkError } from "../src/index.js";
import { FakeWarden } from "../src/testing.js";
import { ALLOWED, KEY, ScriptedWarden } from "./server.js";

const LOGGED = { id: "log_1", organization_id: "o", agent_id: "bot", action: "page.view", status: "success", context: {}, created_at: "2026-01-01T00:00:00Z" };

let warden: ScriptedWarden;
before(async () => (warden = await new ScriptedWarden().start()));
after(() => warden.close());

/** Runs a program of a user's; its exit code, and what it told on its error output. */
async function program(text: string): Promise<[number, string]> {
  const home = new URL("../src/index.js", import.meta.url).href;
  const settings = { apiKey: KEY, baseUrl: warden.url, maxRetries: 0, failOpenActions: ["page.view"] };
  const whole = `import { AgentWarden } from "${home}";\nconst guard = new AgentWarden(${JSON.stringify(settings)});\n${text}`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", whole], { stdio: ["ignore", "inherit", "pipe"] });
  let told = "";
  child.stderr.on("data", (part) => (told += String(part)));
  const [code] = (await once(child, "close")) as [number];
  return [code, told];
}

test("who forgets to close still reports what is overdue when the program ends, and ends", async () => {
  warden.script({ hangUp: true }, { hangUp: true }, { body: LOGGED });
  const twice = "await guard.check('bot', 'page.view');\n".repeat(2);
  const [code, told] = await program(twice);
  assert.equal(code, 0, told);
  const reports = warden.seen.filter((each) => each.path === "/sdk/log").map((each) => JSON.parse(each.body) as typeof LOGGED);
  assert.deepEqual(reports.map((each) => each.action), ["page.view", "page.view"]);
  assert.doesNotMatch(told, /could not be reported/);
});

test("what cannot be reported even then is said, and the program ends", async () => {
  warden.script({ hangUp: true });
  const [code, told] = await program("await guard.check('bot', 'page.view');");
  assert.equal(code, 0, told);
  assert.match(told, /1 outcomes could not be reported/);
});

test("what was reported in time is not tried again at the end", async () => {
  warden.script({ hangUp: true }, { body: { ...LOGGED, ...ALLOWED } });
  const [code] = await program("await guard.check('bot', 'page.view');\nawait guard.check('bot', 'page.view');");
  assert.equal(code, 0);
  assert.deepEqual(warden.seen.map((each) => each.path), ["/sdk/check", "/sdk/check", "/sdk/log"]);
});

test("a closed client asks nothing more, goes ahead with nothing, and may be closed again", async () => {
  warden.script({ body: ALLOWED });
  const guard = warden.client({ failOpenActions: ["page.view"], cacheTtlMs: 1000 });
  await guard.close();
  await guard.close();
  for (const call of [() => guard.check("bot", "page.view"), () => guard.waitForApproval("apr_1"), () => guard.whoami()]) {
    await assert.rejects(call(), (error: Error) => error instanceof AgentWardenError && /closed/.test(error.message) && !(error instanceof NetworkError));
  }
  assert.equal(warden.seen.length, 0);
});

test("closing waits for what is being reported just then", async () => {
  const fake = new FakeWarden();
  fake.allow("x.y");
  const told: string[] = [];
  const guard = fake.client({ maxRetries: 0, onWarning: (message) => told.push(message) });
  for (let i = 0; i < 3; i++) await guard.execute("bot", "x.y", () => fake.disconnect({ times: 1 }), { i });
  const last = guard.check("bot", "x.y");
  await guard.close();
  await last;
  assert.deepEqual(fake.logs.map((each) => each.context?.["i"]), [0, 1, 2]);
  assert.deepEqual(told.filter((message) => !message.includes("kept for later")), []);
});

test("while one call reports what is overdue, the others go on", async () => {
  warden.script({ hangUp: true }, { body: ALLOWED }, { body: LOGGED, delayMs: 800 }, { body: ALLOWED });
  const guard = warden.client({ maxRetries: 0, failOpenActions: ["page.view"] });
  await guard.check("bot", "page.view");
  const slow = guard.check("bot", "x.y");
  while (warden.seen.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  const began = performance.now();
  await guard.check("bot", "x.y");
  assert.ok(performance.now() - began < 500);
  await slow;
  await guard.close();
});
