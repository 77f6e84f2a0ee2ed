import assert from "node:assert/strict";
import { test } from "node:test";

import { APIError, BatchError, errorContext, NetworkError, PermissionDeniedError, ValidationError } from "../src/index.js";
import { FakeWarden } from "../src/testing.js";

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
