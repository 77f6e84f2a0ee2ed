/** Which receipts were used: each may be, once. */

import { createHash, randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { link, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";

const FORGET_AFTER = 300_000; // milliseconds past the expiry: no clock is so wrong
const FORGET_EVERY = 60_000;

/**
 * Remembers receipts that were used, until they have expired anyway: in a folder, shared by the processes of one machine.
 *
 * Each is a file whose name only one process can take. Without a folder it remembers as long as this process lives, and
 * knows nothing of others.
 */
export class UsedReceipts {
  readonly #folder: string | undefined;
  readonly #used = new Map<string, number>();
  #forgotAt = 0;

  constructor(folder?: string) {
    this.#folder = folder;
    if (folder !== undefined) mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  /** True the first time that a receipt is used, and never again. Rejects where it cannot be remembered: then do not act. */
  async firstUse(id: string, expiresAt: Date): Promise<boolean> {
    const now = Date.now();
    if (this.#folder !== undefined) {
      if (now - this.#forgotAt > FORGET_EVERY) {
        this.#forgotAt = now;
        await forget(this.#folder, now - FORGET_AFTER);
      }
      return remember(this.#folder, id, expiresAt.getTime());
    }
    for (const [used, expires] of this.#used) if (expires < now - FORGET_AFTER) this.#used.delete(used);
    if (this.#used.has(id)) return false;
    this.#used.set(id, expiresAt.getTime());
    return true;
  }
}

/** Written whole and on the disk before it has its name, which the first one alone can give. */
async function remember(folder: string, id: string, expires: number): Promise<boolean> {
  const fresh = join(folder, `.${randomUUID()}`);
  try {
    const file = await open(fresh, "wx", 0o600);
    try {
      await file.writeFile(String(expires));
      await file.sync();
    } finally {
      await file.close();
    }
    await link(fresh, join(folder, createHash("sha256").update(id).digest("hex")));
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await rm(fresh, { force: true });
  }
  await syncFolder(folder);
  return true;
}

/** So that the name outlives a loss of power. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return; // where a folder cannot be opened, and names are written through
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what expired before `past`, and what a process left that died while it wrote. */
async function forget(folder: string, past: number): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!/^(\.[0-9a-f-]{36}|[0-9a-f]{64})$/.test(name)) continue; // not ours
    const file = join(folder, name);
    try {
      const until = name.startsWith(".") ? (await stat(file)).mtimeMs : Number(await readFile(file, "utf8"));
      if (until < past) await rm(file, { force: true });
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error; // another process was faster
    }
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
