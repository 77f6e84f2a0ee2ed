/** Many of one kind: checked once, run for each, logged once. */

import { AgentWardenError, ValidationError } from "./errors.js";
import type { Context } from "./json.js";

/** What came of a batch, in the order of the items: those that were done, those that were not. */
export interface BatchResult<T, R> {
  readonly done: readonly (readonly [T, R])[];
  readonly failed: readonly (readonly [T, unknown])[];
}

/** Some items of a batch failed; all of them were tried. `result` has both lists. */
export class BatchError<T = unknown, R = unknown> extends AgentWardenError {
  constructor(
    readonly action: string,
    readonly result: BatchResult<T, R>,
  ) {
    const told = result.failed.slice(0, 5).map(([, error]) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error)));
    const count = result.done.length + result.failed.length;
    super(`${result.failed.length} of ${count} of '${action}' failed: ${told.join(", ")}`);
  }
}

/** The context of all of them. */
export function batchContext(context: Context | null | undefined, count: number): Context {
  if (context && Object.hasOwn(context, "count")) {
    throw new ValidationError("'count' of a batch's context is the number of its items");
  }
  return { ...context, count };
}

/** Every item is tried, one after the other; throws BatchError where some failed. */
export async function runEach<T, R>(action: string, items: readonly T[], run: (item: T) => R | Promise<R>): Promise<BatchResult<T, R>> {
  const done: [T, R][] = [];
  const failed: [T, unknown][] = [];
  for (const item of items) {
    try {
      done.push([item, await run(item)]);
    } catch (error) {
      failed.push([item, error]);
    }
  }
  if (failed.length) throw new BatchError<T, R>(action, { done, failed });
  return { done, failed };
}
