// How fast a reconciliation goes: a page at a time with a rest after it, and back off where Stripe or somebody else asks for it.
import { setTimeout as sleep } from "node:timers/promises";
import { BillingError } from "~/domain/errors";
import { isPassing } from "../../db";
import { callStripe, expectPage, retryAfterSeconds } from "../../stripe";

export interface Pace {
  /** Rest after each page. */
  pauseMs: number;
  /** First wait after a failure that passes; doubled for each further one, unless Stripe says for how long. */
  firstWaitMs: number;
  /** Tries in all, before the run is left for the next one to go on with. */
  tries: number;
  pageSize: number;
}

export const GENTLE: Pace = { pauseMs: 100, firstWaitMs: 1_000, tries: 7, pageSize: 100 };
const LONGEST_WAIT_MS = 60_000;

/** Whether a failure passes by itself, so that the same may be done again. */
export function passes(error: unknown): boolean {
  if (error instanceof BillingError) return error.code === "STRIPE_UNAVAILABLE" || error.code === "BUSY";
  return isPassing(error);
}

/** Does something until it succeeds, fails for good, or has been tried often enough. @throws what the last try threw */
export async function patiently<T>(pace: Pace, work: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await work();
    } catch (error) {
      if (!passes(error) || tried >= pace.tries) throw error;
      const asked = retryAfterSeconds(error);
      const waitMs = asked === null ? pace.firstWaitMs * 2 ** (tried - 1) : asked * 1000;
      await sleep(Math.min(waitMs, LONGEST_WAIT_MS));
    }
  }
}

interface Page<T> {
  data: T[];
  has_more: boolean;
}

/**
 * All pages of one of Stripe's lists, newest first.
 * @param from the last object that was looked at; where it is gone the list is begun anew
 */
export async function* pagesOf<T extends { id: string }>(
  pace: Pace,
  from: string | null,
  list: (page: { limit: number; starting_after?: string }) => Promise<Page<T>>,
): AsyncGenerator<T[]> {
  let after = from;
  for (;;) {
    const page = await patiently(pace, () => onePage(pace, after, list)).catch((error) => {
      if (after === null || after !== from || !isRefused(error)) throw error;
      return null;
    });
    if (page === null) {
      after = null;
      continue;
    }
    const data = expectPage(page);
    if (data.length > 0) yield data;
    const last = data.at(-1);
    if (!page.has_more || !last) return;
    after = last.id;
    await sleep(pace.pauseMs);
  }
}

function onePage<T>(
  { pageSize: limit }: Pace,
  after: string | null,
  list: (page: { limit: number; starting_after?: string }) => Promise<Page<T>>,
): Promise<Page<T>> {
  return callStripe(() => list(after === null ? { limit } : { limit, starting_after: after }));
}

const isRefused = (error: unknown) => error instanceof BillingError && error.code === "STRIPE_REFUSED";
