import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, utimesSync, writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { ReceiptError, UsedReceipts, verifyReceipt, type Context, type ReceiptOptions } from "../src/index.js";

interface Case {
  name: string;
  token: string;
  public_key: string | string[];
  audience: string;
  agent?: string;
  action?: string;
  context?: Context;
  now: number;
  refused: string | null;
}
// Made by Warden's own code, and judged by the Python client: tests/client/test_receipt_vectors.py.
const { cases } = JSON.parse(readFileSync(new URL("../../test/receipts.json", import.meta.url), "utf8")) as { cases: Case[] };
const good = cases[0] as Case;

function verify(given: Case, more: Partial<ReceiptOptions> = {}): ReturnType<typeof verifyReceipt> {
  const { audience, agent, action, context } = given;
  const named = Object.fromEntries(Object.entries({ agent, action, context }).filter(([, value]) => value !== undefined));
  const options = { audience, used: new UsedReceipts(), now: new Date(given.now * 1000), ...named, ...more };
  return verifyReceipt(given.token, given.public_key, options);
}

/** These receipts expired long ago, which an UsedReceipts would know: this remembers them all the same. */
function once(): (id: string) => boolean {
  const seen = new Set<string>();
  return (id) => seen.size < seen.add(id).size;
}

for (const each of cases) {
  test(`${each.name}: ${each.refused === null ? "taken" : "refused"}, as the Python client does`, async () => {
    if (each.refused === null) assert.equal((await verify(each)).claims["aud"], each.audience);
    else await assert.rejects(verify(each), (error) => error instanceof ReceiptError && error.message === each.refused);
  });
}

test("a receipt says who approved what", async () => {
  const receipt = await verify(good);
  assert.deepEqual([receipt.agent, receipt.action, receipt.audience], ["support-bot", "stripe.refund", good.audience]);
  assert.deepEqual(receipt.approvers.map((each) => each["email"]), ["alice@example.com"]);
  assert.deepEqual([receipt.claimedAt.toISOString(), receipt.expiresAt.toISOString()], ["2026-01-01T00:00:00.000Z", "2026-01-01T00:05:00.000Z"]);
  assert.match(receipt.approvalId, /^apr_/);
  assert.match(receipt.eventId, /^evt_/);
  assert.deepEqual([receipt.index, receipt.digest, receipt.policyVersion], [41, "a".repeat(64), "pv_1"]);
  assert.throws(() => Object.assign(receipt, { action: "stripe.payout" }), TypeError);
});

test("altered in any byte, it is refused, and asks nobody whether it was used", async () => {
  let asked = 0;
  const used = (): boolean => Boolean(++asked);
  for (let place = 0; place < good.token.length; place++) {
    const letter = good.token[place] ?? "";
    for (const other of new Set(["A", "B", ".", "=", String.fromCharCode(letter.charCodeAt(0) ^ 1)])) {
      if (other === letter) continue;
      const token = good.token.slice(0, place) + other + good.token.slice(place + 1);
      await assert.rejects(verify({ ...good, token }, { used }), ReceiptError, `${other} at ${place}`);
    }
  }
  assert.equal(asked, 0);
});

test("cut, padded or no text at all, it is refused", async () => {
  const { token } = good;
  const others = [token.slice(0, -1), `${token}=`, `${token}.`, token.slice(1), "", token.replace(".", ".."), ` ${token}`, `${token}\n`];
  for (const other of [...others, null, undefined, 7, [token], { token }]) {
    await assert.rejects(verify({ ...good, token: other as string }), ReceiptError);
  }
});

test("it is used once, and only a plain true is a first use", async () => {
  const used = once();
  await verify(good, { used });
  await assert.rejects(verify(good, { used }), /used already/);
  for (const answer of [false, undefined, null, 1, "yes", Promise.resolve(false), Promise.resolve("true"), {}]) {
    await assert.rejects(verify(good, { used: () => answer as boolean }), /used already/);
  }
  const failing = new Error("the database is down");
  await assert.rejects(verify(good, { used: () => Promise.reject(failing) }), (error) => error === failing);
  const seen: [string, Date][] = [];
  await verify(good, { used: (...told) => Boolean(seen.push(told)) });
  assert.deepEqual(seen, [[(await verify(good)).eventId, new Date("2026-01-01T00:05:00Z")]]);
});

test("what does not fit does not use it up", async () => {
  const used = once();
  await assert.rejects(verify(good, { used, action: "stripe.payout" }), /another action/);
  await assert.rejects(verify(good, { used, context: { amount: 1 } }), /not what was approved/);
  await verify(good, { used });
});

test("a doubt is no yes: a time that is none, an option that came out as nothing", async () => {
  await assert.rejects(verify(good, { now: new Date(NaN) }), /expired/);
  for (const name of ["agent", "action", "context"]) {
    for (const value of [undefined, null]) await assert.rejects(verify(good, { [name]: value } as object), ReceiptError);
  }
  await assert.rejects(verify(good, { audience: undefined as unknown as string }), /another audience/);
  const circle: Context = {};
  circle["self"] = circle;
  for (const context of [circle, { amount: NaN }, [], "text"]) {
    await assert.rejects(verify(good, { context: context as Context }), /the context is no JSON/);
  }
  for (const key of ["", "nonsense", "AAAA", []]) await assert.rejects(verify({ ...good, public_key: key }), ReceiptError);
});

test("without a folder a process remembers by itself, until they have expired", async () => {
  const used = new UsedReceipts();
  const late = new Date("2099-01-01");
  const told = [];
  for (const id of ["evt_1", "evt_1", "evt_2", "evt_1"]) told.push(await used.firstUse(id, late));
  assert.deepEqual(told, [true, false, true, false]);
  assert.equal(await new UsedReceipts().firstUse("evt_1", late), true);
});

const folder = mkdtempSync(join(tmpdir(), "used-"));
after(() => rmSync(folder, { recursive: true }));

test("a folder remembers for every process that shares it, and of many at once one is first", async () => {
  const late = new Date("2099-01-01");
  const all = Array.from({ length: 20 }, () => new UsedReceipts(folder));
  const first = await Promise.all(all.map((each) => each.firstUse("evt_1", late)));
  assert.equal(first.filter(Boolean).length, 1);
  assert.equal(await new UsedReceipts(folder).firstUse("evt_1", late), false);
  assert.equal(await new UsedReceipts(folder).firstUse("../evt_2", late), true);
  assert.equal(readdirSync(folder).length, 2);
});

test("what has expired long ago is forgotten, and nothing else", async () => {
  const used = new UsedReceipts(folder);
  writeFileSync(join(folder, "notes.txt"), "1");
  for (const name of [`.${randomUUID()}`, ".gitkeep"]) {
    writeFileSync(join(folder, name), "");
    utimesSync(join(folder, name), 1, 1);
  }
  await new UsedReceipts(folder).firstUse("evt_old", new Date(Date.now() - 600_000));
  assert.equal(readdirSync(folder).length, 5); // what somebody left who died while writing is gone already
  assert.equal(await used.firstUse("evt_new", new Date(Date.now() + 1000)), true);
  assert.equal(readdirSync(folder).length, 5); // the old one went, the new one came
  assert.equal(await used.firstUse("evt_1", new Date("2099-01-01")), false);
});

test("a folder that cannot be written is an error, and no first use", async () => {
  const used = new UsedReceipts(join(folder, "gone"));
  rmSync(join(folder, "gone"), { recursive: true });
  await assert.rejects(used.firstUse("evt_1", new Date("2099-01-01")), { code: "ENOENT" });
});
