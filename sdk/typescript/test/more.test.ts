import assert from "node:assert/strict";
import { test } from "node:test";

import {
  AgentNotFoundError,
  APIError,
  BatchError,
  errorContext,
  NetworkError,
  PermissionDeniedError,
  ValidationError,
} from "../src/index.js";
import { FakeWarden } from "../src/testing.js";
import { KEY, ScriptedWarden } from "./server.js";

test("a batch is checked once, sent to each and logged once", async () => {
  const fake = new FakeWarden();
  fake.allow("email.send_bulk");
  const sent: string[] = [];
  const send = async (to: string): Promise<number> => sent.push(to);
  const result = await fake.client().batch("bot", "email.send_bulk", new Set(["ann", "bob"]), send, { subject: "Parcel" });
  assert.deepEqual(result, { done: [["ann", 1], ["bob", 2]], failed: [] });
  assert.deepEqual(fake.checks.map((each) => each.context), [{ count: 2, subject: "Parcel" }]);
  assert.deepEqual(fake.logs.map((each) => each.status), ["success"]);
});

test("every item of a batch is tried, and those that failed are named", async () => {
  const fake = new FakeWarden();
  fake.allow("email.send_bulk");
  const send = (to: string): string => {
    if (to === "bob") throw new RangeError("no such box");
    return to;
  };
  await assert.rejects(fake.client().batch("bot", "email.send_bulk", ["ann", "bob", "eve"], send), (error: Error) => {
    assert.ok(error instanceof BatchError);
    assert.equal(error.message, "1 of 3 of 'email.send_bulk' failed: RangeError: no such box");
    assert.deepEqual(error.result.done, [["ann", "ann"], ["eve", "eve"]]);
    return true;
  });
  assert.deepEqual(fake.logs.map((each) => each.status), ["failed"]);
});

test("a batch that is denied, or counted by hand, or changed by an approver, sends nothing", async () => {
  const fake = new FakeWarden();
  fake.ask("email.send_bulk");
  const guard = fake.client();
  let sent = 0;
  const send = (): number => sent++;
  await assert.rejects(guard.batch("bot", "email.other", [1], send), PermissionDeniedError);
  await assert.rejects(guard.batch("bot", "email.send_bulk", [1], send, { count: 7 }), ValidationError);
  await assert.rejects(guard.batch("bot", "email.send_bulk", [1, 2], send));
  fake.approve(fake.pending[0] ?? null, { effectiveContext: { count: 1 } });
  await assert.rejects(guard.batch("bot", "email.send_bulk", [1, 2], send), PermissionDeniedError);
  assert.equal(sent, 0);
});

test("a question is read, and answered while it waits", async () => {
  const fake = new FakeWarden();
  fake.ask("stripe.refund");
  const guard = fake.client();
  const { approvalId } = await guard.check("bot", "stripe.refund", { amount: 300 });
  fake.question(approvalId, "Which parcel?");
  const [asked] = (await guard.getApproval(approvalId ?? "")).comments;
  assert.deepEqual([asked?.kind, asked?.text, asked?.by], ["question", "Which parcel?", "approver@example.com"]);
  const said = await guard.comment(approvalId ?? "", "The blue one", { attachment: { name: "photo.txt", text: "blue" } });
  assert.deepEqual([said.kind, said.by, said.attachment], ["answer", "bot", { name: "photo.txt", text: "blue" }]);
  assert.equal((await guard.getApproval(approvalId ?? "")).comments.length, 2);
  await assert.rejects(guard.comment(approvalId ?? "", " "), ValidationError);
  fake.reject(approvalId);
  await assert.rejects(guard.comment(approvalId ?? "", "Too late"), (error: APIError) => error.code === "already_decided");
});

test("a failure is told as data, without what looks like a credential", () => {
  const secrets = [
    "ak_live_0123456789abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "Bearer abcdefgh12345678",
    'password="hunter2 hunter2"',
    "api_key=hunter2",
  ];
  const failure = Object.assign(new TypeError(`Refused: ${secrets.join(" ")} at https://ann:hunter2@example.com`), { code: "E_NO" });
  const told = errorContext(failure, { retryCount: 3 });
  assert.deepEqual([told["error_type"], told["error_code"], told["retry_count"]], ["TypeError", "E_NO", 3]);
  for (const secret of [...secrets, "hunter2"]) assert.ok(!JSON.stringify(told).includes(secret), secret);
  assert.match(String(told["traceback"]), /^\s+at .*more\.test/);
  assert.ok(!String(told["traceback"]).includes("Refused"));
  assert.equal("traceback" in errorContext(failure, { stack: false }), false);
  assert.equal(errorContext(new NetworkError("no", { requestId: "req-1" }))["request_id"], "req-1");
  assert.equal(String(errorContext(new Error("x".repeat(9000)))["error_message"]).length, 2000);
  assert.deepEqual(errorContext("only a text"), { error_type: "string", error_message: "only a text" });
  assert.equal(errorContext(new Error("half \ud800"))["error_message"], "half \ufffd");
});

test("a claim names whom its receipt is for, and answers it", async () => {
  const warden = await new ScriptedWarden().start();
  const claim = { claimed_at: "2026-01-01T00:00:00Z", deadline_at: null, digest: "d", receipt: "a.b.c" };
  const body = { id: "apr_1", status: "approved", action: "stripe.refund", agent_id: "bot", claim, effective_context: null };
  warden.script({ body }, { body: { ...body, claim: { ...claim, receipt: undefined } } });
  const guard = warden.client();
  const told = await guard.claim("apr_1", { audience: "https://payments.example.com", idempotencyKey: "key-1" });
  assert.deepEqual([told.receipt, told.action, told.agentId, told.digest], ["a.b.c", "stripe.refund", "bot", "d"]);
  assert.deepEqual((told.answer["claim"] as typeof claim).receipt, "a.b.c");
  assert.equal((await guard.claim("apr_1")).receipt, null);
  const [first, second] = warden.seen;
  assert.deepEqual([JSON.parse(first?.body ?? ""), first?.headers["idempotency-key"]], [{ audience: "https://payments.example.com" }, "key-1"]);
  assert.equal(second?.body, "");
  await assert.rejects(guard.claim("apr_1", { audience: " " }), ValidationError);
  assert.equal(warden.seen.length, 2);
  await warden.close();
});

test("whoever the key is, its scopes and its end are told", async () => {
  const warden = await new ScriptedWarden().start();
  const body = { key_id: "key_1", organization_id: "org_1", mode: "live", scopes: ["sdk"], expires_at: "2027-01-01T00:00:00Z" };
  warden.script({ body }, { body: { ...body, scopes: "sdk" } });
  const guard = warden.client({ apiKey: ` ${KEY}\n`, baseUrl: `${warden.url}/ ` });
  const told = await guard.whoami();
  assert.deepEqual([told.scopes, told.expiresAt?.getUTCFullYear()], [["sdk"], 2027]);
  assert.equal(warden.seen[0]?.headers["x-api-key"], KEY);
  await assert.rejects(guard.whoami(), APIError);
  await warden.close();
});

test("an answer does not change, and says what it means", async () => {
  const fake = new FakeWarden({ agents: ["bot"] });
  assert.equal(fake.policyVersion, "v1");
  fake.ask("stripe.refund");
  const guard = fake.client();
  await assert.rejects(guard.check("other", "stripe.refund"), AgentNotFoundError);
  const asked = await guard.check("bot", "stripe.refund", { amount: 300 }, { idempotencyKey: "key-1" });
  assert.deepEqual([asked.policyVersion, fake.checks[0]?.idempotencyKey, fake.checks.length], ["v2", "key-1", 1]);
  assert.ok(asked.expiresAt && asked.expiresAt.getTime() > Date.now());
  assert.throws(() => Object.assign(asked, { allowed: true }), TypeError);
  const waiting = await guard.getApproval(asked.approvalId ?? "");
  fake.approve(asked.approvalId, { effectiveContext: { amount: 250 } });
  const approval = await guard.getApproval(asked.approvalId ?? "");
  assert.deepEqual([waiting.pending, waiting.approved, approval.pending, approval.approved], [true, false, false, true]);
  const again = await guard.check("bot", "stripe.refund", { amount: 300 });
  assert.deepEqual([again.approvedOtherwise, asked.approvedOtherwise, again.cacheable], [true, false, false]);
});

test("a reasoning that is no text, or a patience that is no number of seconds, is refused", async () => {
  const guard = new FakeWarden().client();
  for (const options of [{ expiresIn: 0 }, { expiresIn: 1.5 }, { expiresIn: NaN }, { expiresIn: "60" }, { reasoning: 7 }]) {
    await assert.rejects(guard.check("bot", "x.y", null, options as object), ValidationError);
  }
  await assert.rejects(guard.log("bot", "x.y", "success", null, { ipAddress: 7 as never }), ValidationError);
});
