/** A real HTTP server on this machine that answers exactly as it was told, badly where it was told to. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { AgentWarden, type Options } from "../src/index.js";

export const KEY = "test_0123456789abcdefghijklmnopqrstuvwxyz";
export const ALLOWED = { allowed: true, requires_approval: false, reason: null, decision_id: "dec_1" };
export const DENIED = { allowed: false, requires_approval: false, reason: "No permission for action 'x.y'" };
export const PENDING = { allowed: false, requires_approval: true, reason: "Ask", approval_id: "apr_1" };

export interface Reply {
  status?: number;
  body?: unknown;
  headers?: Record<string, string>;
  delayMs?: number;
  hangUp?: boolean;
  cut?: number;
}

export interface Seen {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  body: string;
}

/** Replies in order; the last one is repeated. */
export class ScriptedWarden {
  readonly seen: Seen[] = [];
  #script: Reply[] = [{}];
  readonly #server: Server = createServer((request, response) => void this.#serve(request, response));

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  script(...replies: Reply[]): void {
    this.#script = replies;
    this.seen.length = 0;
  }

  client(options: Options = {}): AgentWarden {
    const ours = { apiKey: KEY, baseUrl: this.url, timeoutMs: 2000, backoffMs: 1, onWarning: (): void => undefined };
    return new AgentWarden({ ...ours, ...options });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const part of request) body += String(part);
    this.seen.push({ method: request.method ?? "", path: request.url ?? "", headers: request.headers, body });
    const reply = (this.#script.length > 1 ? this.#script.shift() : this.#script[0]) ?? {};
    if (reply.delayMs) await new Promise((resolve) => setTimeout(resolve, reply.delayMs));
    if (reply.hangUp) {
      request.socket.destroy();
      return;
    }
    const text = typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body ?? {});
    const length = Buffer.byteLength(text) + (reply.cut ?? 0);
    const headers = { "Content-Type": "application/json", "X-Request-ID": "req-7", "Content-Length": String(length) };
    response.writeHead(reply.status ?? 200, { ...headers, ...reply.headers });
    response.write(text);
    if (reply.cut) request.socket.destroy();
    else response.end();
  }
}
