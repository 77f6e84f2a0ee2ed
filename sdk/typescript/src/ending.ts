/** The end of the program: what could not be reported is tried once more, by clients that nobody closed. */

interface Closable {
  close(): Promise<void>;
}

const owing = new Set<Closable>();

/** Close it when the program has nothing left to do. */
export function settleAtEnd(client: Closable): void {
  if (owing.size === 0) process.once("beforeExit", settle);
  owing.add(client);
}

/** It owes nothing any more. */
export function settled(client: Closable): void {
  if (owing.delete(client) && owing.size === 0) process.removeListener("beforeExit", settle);
}

function settle(): void {
  for (const client of [...owing]) void client.close();
}
