import assert from "node:assert/strict";
import { test } from "node:test";

import { APIError, ApprovalRequiredError, NetworkError, PermissionDeniedError, type Context } from "../src/index.js";
import { FakeWarden } from "../src/testing.js";

function world(): FakeWarden {
  const fake = new FakeWarden();
  fake.allow("stripe.refund", { upTo: 50 });
  fake.ask("stripe.refund", { upTo: 1000 });
  return fake;
}

const statuses = (fake: FakeWarden): string[] => fake.logs.map((log) => log.status);

test("an allowed action runs and is logged", async () => {
  const fake = world();
  const paid = await fake.client().execute("bot", "stripe.refund", (approved) => approved["amount"], { amount: 20 });
  assert.equal(paid, 20);
  assert.deepEqual(statuses(fake), ["success"]);
  assert.match(String(fake.logs[0]?.decisionId), /^dec_/);
});

test("what is denied, or unknown, does not run", async () => {
  const fake = world();
  let ran = 0;
  for (const [action, amount] of [["stripe.refund", 2000], ["database.drop", 1]] as const) {
    await assert.rejects(fake.client().execute("bot", action, () => ran++, { amount }), PermissionDeniedError);
  }
  assert.equal(ran, 0);
  assert.deepEqual(statuses(fake), ["blocked", "blocked"]);
});

test("a request that needs a person is an error that names it, or is waited for", async () => {
  const fake = world();
  const guard = fake.client();
  await assert.rejects(guard.execute("bot", "stripe.refund", () => 1, { amount: 300 }), (error: Error) => {
    assert.ok(error instanceof ApprovalRequiredError);
    assert.equal(error.approvalId, fake.pending[0]);
    return true;
  });
  setTimeout(() => fake.approve(fake.pending[0] ?? null), 20);
  assert.equal(await guard.execute("bot", "stripe.refund", () => "paid", { amount: 300 }, { wait: true }), "paid");
  assert.equal(fake.claims.length, 1);
  assert.deepEqual(statuses(fake), ["pending_approval", "success"]);
});

test("a denial, an expiry and a wait that is over are no yes", async () => {
  const fake = world();
  const guard = fake.client();
  let ran = 0;
  const run = (amount: number): Promise<number> =>
    guard.execute("bot", "stripe.refund", () => ran++, { amount }, { wait: true, waitTimeoutMs: 100 });
  setTimeout(() => fake.reject(fake.pending[0] ?? null, { reason: "No" }), 20);
  await assert.rejects(run(300), (error: Error) => error instanceof PermissionDeniedError && error.reason === "No");
  setTimeout(() => fake.expire(fake.pending[0] ?? null), 20);
  await assert.rejects(run(301), PermissionDeniedError);
  await assert.rejects(run(302), ApprovalRequiredError);
  assert.equal(ran, 0);
});

test("what was changed and approved while nobody waited is claimed by the next call, and done so", async () => {
  const fake = world();
  const guard = fake.client();
  const asked = await guard.check("bot", "stripe.refund", { amount: 300 });
  fake.approve(asked.approvalId, { effectiveContext: { amount: 250 } });
  const again = await guard.check("bot", "stripe.refund", { amount: 300 });
  assert.deepEqual([again.allowed, again.code, again.approvalId], [false, "edited", asked.approvalId]);
  await assert.rejects(guard.execute("bot", "stripe.refund", () => 1, { amount: 300 }), PermissionDeniedError);
  assert.equal(fake.claims.length, 0);
  const told = await guard.execute("bot", "stripe.refund", (approved) => approved, { amount: 300 });
  assert.deepEqual([told, fake.claims.length], [{ amount: 250 }, 1]);
});

test("an approver's changes reach the callback, or it does not run", async () => {
  const fake = world();
  const guard = fake.client();
  const approve = (): void => fake.approve(fake.pending[0] ?? null, { effectiveContext: { amount: 250 } });
  setTimeout(approve, 20);
  const told = await guard.execute("bot", "stripe.refund", (approved) => approved, { amount: 300 }, { wait: true });
  assert.deepEqual(told, { amount: 250 });
  let ran = 0;
  setTimeout(approve, 20);
  await assert.rejects(
    guard.execute("bot", "stripe.refund", () => ran++, { amount: 301 }, { wait: true }),
    (error: Error) => error instanceof PermissionDeniedError && error.code === "changed_by_approver",
  );
  assert.equal(ran, 0);
  assert.equal(fake.claims.length, 1);
});

test("what the callback throws is logged and thrown again", async () => {
  const fake = world();
  const broken = Object.assign(new Error("card declined"), { code: "card_declined" });
  const run = fake.client().execute("bot", "stripe.refund", () => Promise.reject(broken), { amount: 20 });
  await assert.rejects(run, (error: unknown) => error === broken);
  const told = fake.logs[0]?.context?.["error"] as Context;
  assert.deepEqual([told["type"], told["message"], told["code"]], ["Error", "card declined", "card_declined"]);
});

test("an approval is claimed once", async () => {
  const fake = world();
  const guard = fake.client();
  const asked = await guard.check("bot", "stripe.refund", { amount: 300 });
  fake.approve(asked.approvalId);
  const id = asked.approvalId ?? "";
  assert.equal((await guard.claim(id, { idempotencyKey: "key-1" })).approvalId, id);
  assert.equal((await guard.claim(id, { idempotencyKey: "key-1" })).approvalId, id);
  await assert.rejects(guard.claim(id), (error: APIError) => error.code === "already_claimed");
});

test("a cancelled request asks nobody any more", async () => {
  const fake = world();
  const guard = fake.client();
  const asked = await guard.check("bot", "stripe.refund", { amount: 300 });
  assert.equal((await guard.cancel(asked.approvalId ?? "")).status, "cancelled");
  assert.deepEqual(fake.pending, []);
  assert.equal((await guard.waitForApproval(asked.approvalId ?? "")).status, "cancelled");
});

test("a protected function asks with its arguments' context", async () => {
  const fake = world();
  const guard = fake.client();
  const refund = guard.protect("stripe.refund", {
    agentId: "bot",
    context: (order: string, amount: number) => ({ order, amount }),
    wait: true,
    apply: (approved, order) => [order, Number(approved["amount"])] as [string, number],
  })((order, amount) => `${order}: ${amount}`);
  assert.equal(await refund("ord_1", 20), "ord_1: 20");
  setTimeout(() => fake.approve(fake.pending[0] ?? null, { effectiveContext: { order: "ord_2", amount: 250 } }), 20);
  assert.equal(await refund("ord_2", 300), "ord_2: 250");
  await assert.rejects(refund("ord_3", 3000), PermissionDeniedError);
});

test("an outcome that cannot be reported is kept, and the action's value is not lost", async () => {
  const fake = world();
  const guard = fake.client({ maxRetries: 0 });
  const value = await guard.execute("bot", "stripe.refund", () => (fake.disconnect(), "paid"), { amount: 20 });
  assert.equal(value, "paid");
  assert.deepEqual(statuses(fake), []);
  await assert.rejects(guard.check("bot", "stripe.refund", { amount: 1 }), NetworkError);
  fake.reconnect();
  await guard.close();
  assert.deepEqual(statuses(fake), ["success"]);
});

test("waiting outlives a server that restarts", async () => {
  const fake = world();
  const guard = fake.client();
  const asked = await guard.check("bot", "stripe.refund", { amount: 300 });
  fake.fail(503, { times: 3 });
  setTimeout(() => fake.approve(asked.approvalId), 50);
  assert.equal((await guard.waitForApproval(asked.approvalId ?? "")).status, "approved");
});

test("a key learns whose it is", async () => {
  assert.equal((await world().client().whoami()).mode, "test");
});
