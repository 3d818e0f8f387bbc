// Calls that are made at the same moment wait for each other, and go as one request within its limits.
import { unreachable } from "./errors";
import type { Signal } from "./runtime";
import { type Item, type ItemResult, sendBatch, type TransportOptions } from "./transport";

export interface BatchLimits {
  /** Most calls in one request. */
  maxItems: number;
  /** Most characters of inputs in one request that has more than one call. */
  maxLength: number;
}

// Questions travel in the address, which proxies cut at 8 kB.
const MAX_ADDRESS_LENGTH = 4_000;

interface Waiting extends Item {
  settle(result: ItemResult): void;
  leave(reason: unknown): void;
  onBatch(batch: Batch): void;
}

interface Batch {
  controller: AbortController;
  /** Calls that somebody still waits for. */
  wanted: number;
}

export interface TryOptions {
  timeoutMs: number;
  signal: Signal | undefined;
}

/** @returns a function that makes one try of a call. @throws BillingClientError, or the reason of the caller's signal */
export function batching(transport: TransportOptions, limits: BatchLimits) {
  const queues: Record<"query" | "mutation", Waiting[]> = { query: [], mutation: [] };
  let isScheduled = false;

  function flush() {
    isScheduled = false;
    for (const kind of ["query", "mutation"] as const) {
      const queue = queues[kind];
      if (queue.length === 0) continue;
      queues[kind] = [];
      const maxLength = kind === "query" ? Math.min(limits.maxLength, MAX_ADDRESS_LENGTH) : limits.maxLength;
      for (const part of split(queue, limits.maxItems, maxLength)) void send(part);
    }
  }

  async function send(waiting: Waiting[]) {
    const batch: Batch = { controller: new AbortController(), wanted: waiting.length };
    for (const one of waiting) one.onBatch(batch);
    try {
      const results = await sendBatch(transport, waiting, batch.controller.signal);
      for (const [index, one] of waiting.entries()) {
        const result = results[index];
        if (result) one.settle(result);
      }
    } catch (error) {
      for (const one of waiting) one.leave(error);
    }
  }

  return (item: Item, { timeoutMs, signal }: TryOptions): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      let isOver = false;
      let batch: Batch | undefined;
      const end = () => {
        if (isOver) return false;
        isOver = true;
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        return true;
      };
      // Others of the same request may still want their answers.
      const leave = (reason: unknown) => {
        if (!end()) return;
        queues[item.call.kind] = queues[item.call.kind].filter((other) => other !== waiting);
        if (batch) batch.wanted -= 1;
        if (batch?.wanted === 0) batch.controller.abort(reason);
        reject(reason);
      };
      const onAbort = () => leave(signal?.reason);
      const timer = setTimeout(() => leave(unreachable(1, `Billfold gave no answer in ${timeoutMs} ms.`)), timeoutMs);
      signal?.addEventListener("abort", onAbort);
      const waiting: Waiting = {
        ...item,
        leave,
        onBatch: (own) => {
          batch = own;
        },
        settle: (result) => {
          if (!end()) return;
          if (result.ok) resolve(result.value);
          else reject(result.failure);
        },
      };
      queues[item.call.kind].push(waiting);
      if (isScheduled) return;
      isScheduled = true;
      afterThisTurn(flush);
    });
}

/** Parts in order, each within the limits; what is too long by itself goes alone. */
export function split<T extends { body: string; call: { procedure: string } }>(
  queue: T[],
  maxItems: number,
  maxLength: number,
): T[][] {
  const parts: T[][] = [];
  let length = 0;
  for (const one of queue) {
    const own = one.body.length + one.call.procedure.length;
    const part = parts.at(-1);
    if (part && part.length < maxItems && length + own <= maxLength) {
      part.push(one);
      length += own;
    } else {
      parts.push([one]);
      length = own;
    }
  }
  return parts;
}

// Node's setImmediate comes after all that is ready now, without the millisecond that a timer costs.
const afterThisTurn: (run: () => void) => void =
  (globalThis as { setImmediate?: (run: () => void) => void }).setImmediate ?? ((run) => setTimeout(run, 0));
