// Work on held credits, from the hold to its release: the lease is kept while the work runs, and nothing stays set aside after it.
import { isBillingError } from "./errors";
import type { Signal } from "./runtime";

/** What the work gets: its hold, and how it says what it used. */
export interface HeldWork<Held, Part, Captured> {
  readonly hold: Held;
  /** Takes what was used since the last part. The hold need not cover it: what goes beyond is taken from what is free. */
  capture(part: Part): Promise<Captured>;
  /** Aborted when the hold is lost, its lease having ended: what is used from then on is not covered. */
  readonly signal: Signal;
}

/** The calls that a hold is made of. */
export interface HoldSteps<Held, Part, Captured> {
  hold(): Promise<Held>;
  capture(held: Held, part: Part): Promise<Captured>;
  /** Another whole lease from now. */
  extend(held: Held): Promise<unknown>;
  release(held: Held): Promise<unknown>;
}

// Of a lease: early enough for some failed tries.
const EXTEND_AFTER = 1 / 3;

/**
 * Holds, works, and releases whatever the work did not take, also when it throws. Parts that are still being taken are waited
 * for; one that fails is the work's own to handle. A release that fails is nobody's failure: the lease ends by itself.
 */
export async function holding<Held, Part, Captured, Result>(
  steps: HoldSteps<Held, Part, Captured>,
  leaseMs: number,
  work: (held: HeldWork<Held, Part, Captured>) => Promise<Result> | Result,
): Promise<Result> {
  const held = await steps.hold();
  const lost = new AbortController();
  const parts = new Set<Promise<unknown>>();
  const keeping = setInterval(() => {
    steps.extend(held).catch((error: unknown) => {
      // Any other failure is tried again by the next turn, while the lease lasts.
      if (!isBillingError(error, "HOLD_ENDED")) return;
      clearInterval(keeping);
      lost.abort(error);
    });
  }, leaseMs * EXTEND_AFTER);
  const capture = (part: Part): Promise<Captured> => {
    const taking = steps.capture(held, part);
    const over: Promise<unknown> = taking.catch(() => {}).then(() => parts.delete(over));
    parts.add(over);
    // Not the promise that is watched here: one that nobody looks at must still be told of as such by the runtime.
    return taking.then((captured) => captured);
  };
  try {
    return await work({ hold: held, capture, signal: lost.signal as Signal });
  } finally {
    clearInterval(keeping);
    await Promise.all(parts);
    await steps.release(held).catch(() => {});
  }
}
