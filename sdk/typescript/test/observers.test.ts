import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { register, Registry } from "prom-client";

import { APIError, AuthenticationError, ValidationError, type Observer } from "../src/index.js";
import { PrometheusMetrics } from "../src/metrics.js";
import { OpenTelemetry } from "../src/tracing.js";
import { ALLOWED, DENIED, PENDING, ScriptedWarden } from "./server.js";

let warden: ScriptedWarden;
before(async () => {
  warden = await new ScriptedWarden().start();
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
});
after(() => warden.close());

const ended = (status: string): object => ({ id: "apr_1", status, decision: { status } });

async function samples(registry: Registry): Promise<Record<string, number>> {
  const lines = (await registry.metrics()).split("\n").filter((line) => line && !line.startsWith("#") && !line.includes("_bucket"));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]));
}

test("checks are counted by what came of them", async () => {
  const registry = new Registry();
  const guard = warden.client({ observers: [new PrometheusMetrics(registry)], maxRetries: 0 });
  warden.script({ body: ALLOWED }, { body: DENIED }, { body: PENDING }, { status: 503, body: { detail: "x" } });
  for (let i = 0; i < 3; i++) await guard.check("bot", "x.y", { amount: 42 });
  await assert.rejects(guard.check("bot", "x.y"), APIError);
  const told = await samples(registry);
  for (const result of ["allowed", "denied", "pending", "error"]) {
    assert.equal(told[`agentwarden_checks_total{agent_id="bot",action="x.y",result="${result}"}`], 1, JSON.stringify(told));
  }
  assert.equal(told["agentwarden_check_duration_seconds_count"], 4);
  assert.equal(told['agentwarden_errors_total{type="APIError"}'], 1);
  assert.deepEqual(Object.keys(told).filter((name) => name.includes("42")), []);
});

test("answers from the cache are hits, and take no time", async () => {
  const registry = new Registry();
  const guard = warden.client({ observers: [new PrometheusMetrics(registry)], cacheTtlMs: 30_000 });
  warden.script({ body: { ...ALLOWED, cacheable: true, policy_version: "v1" } });
  for (let i = 0; i < 3; i++) await guard.check("bot", "x.y");
  const told = await samples(registry);
  assert.equal(told["agentwarden_cache_hits_total"], 2);
  assert.equal(told["agentwarden_check_duration_seconds_count"], 1);
});

test("a wait is pending while it lasts, and is timed when it ended", async () => {
  const registry = new Registry();
  const guard = warden.client({ observers: [new PrometheusMetrics(registry)], maxRetries: 0 });
  warden.script({ body: ended("approved"), delayMs: 100 });
  const wait = guard.waitForApproval("apr_1");
  assert.equal((await samples(registry))["agentwarden_approvals_pending"], 1);
  await wait;
  warden.script({ body: ended("pending") });
  await guard.waitForApproval("apr_1", { timeoutMs: 0 }); // it goes on: not timed
  warden.script({ status: 401 });
  await assert.rejects(guard.waitForApproval("apr_1"), AuthenticationError);
  const told = await samples(registry);
  assert.equal(told["agentwarden_approvals_pending"], 0);
  assert.equal(told["agentwarden_approval_wait_seconds_count"], 1);
  assert.equal(told['agentwarden_errors_total{type="AuthenticationError"}'], 1);
});

test("without a registry the program's own is counted in", async () => {
  const guard = warden.client({ observers: [new PrometheusMetrics()] });
  warden.script({ body: ALLOWED });
  await guard.check("bot", "x.y");
  assert.equal((await samples(register))["agentwarden_check_duration_seconds_count"], 1);
  register.clear();
});

test("spans name the decision, are children of the current one, and tell nothing of the context", async () => {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const tracer = provider.getTracer("test");
  const guard = warden.client({ observers: [new OpenTelemetry(tracer)], maxRetries: 0 });
  warden.script({ body: { ...PENDING, decision_id: "dec_1", policy_version: "pv_1" } }, { body: ended("denied") }, { status: 401 });
  const outer = tracer.startSpan("outer");
  await context.with(trace.setSpan(context.active(), outer), () => guard.check("bot", "x.y", { card: "4242" }));
  await guard.waitForApproval("apr_1");
  await assert.rejects(guard.check("bot", "x.y"), AuthenticationError);
  const [asked, waited, failed] = exporter.getFinishedSpans();
  assert.equal(asked?.name, "agentwarden.check");
  assert.equal(asked.parentSpanContext?.spanId, outer.spanContext().spanId);
  assert.deepEqual(asked.attributes, {
    "agentwarden.agent_id": "bot",
    "agentwarden.action": "x.y",
    "agentwarden.result": "pending",
    "agentwarden.decision_id": "dec_1",
    "agentwarden.approval_id": "apr_1",
    "agentwarden.policy_version": "pv_1",
    "agentwarden.cached": false,
  });
  assert.deepEqual(waited?.attributes, { "agentwarden.approval_id": "apr_1", "agentwarden.status": "denied" });
  assert.equal(waited.name, "agentwarden.wait");
  assert.equal(failed?.attributes["agentwarden.result"], "error");
  assert.equal(failed.attributes["agentwarden.request_id"], "req-7");
  assert.deepEqual(failed.status, { code: 2, message: "AuthenticationError" });
});

test("an observer that fails, at once or later, changes nothing", async () => {
  const broken = (): never => {
    throw new Error("broken");
  };
  const observers: Observer[] = [
    { check: broken, wait: () => broken },
    { check: () => async () => broken(), wait: async () => broken() } as unknown as Observer,
    { check: () => null, wait: () => null } as unknown as Observer,
  ];
  const told: string[] = [];
  const guard = warden.client({ observers, onWarning: (message) => told.push(message) });
  warden.script({ body: DENIED }, { body: ended("denied") });
  assert.equal((await guard.check("bot", "x.y")).allowed, false);
  assert.equal((await guard.waitForApproval("apr_1")).approved, false);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(told.filter((message) => message.includes("an observer failed")).length, 5, told.join("\n"));
});

test("an observer cannot turn a no into a yes", async () => {
  const eager: Observer = { check: () => (result) => void ((result as { allowed: boolean }).allowed = true), wait: () => () => undefined };
  const guard = warden.client({ observers: [eager] });
  warden.script({ body: DENIED });
  assert.equal((await guard.check("bot", "x.y")).allowed, false);
});

test("what is no observer is refused", () => {
  for (const each of [{}, null, { check: () => () => undefined }]) {
    assert.throws(() => warden.client({ observers: [each as unknown as Observer] }), ValidationError);
  }
});
