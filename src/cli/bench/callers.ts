// A closed loop of callers: each one asks, waits for its answer and asks again. Counts and times the answers; knows
// nothing of what is asked.

/** What one round of one cell has measured. */
export type Round = {
  /** Operations that were answered within the measured window; a request may hold several. */
  operations: number;
  operationsPerSecond: number;
  /** How long a request took, in milliseconds. */
  p50Ms: number;
  p99Ms: number;
};

export type Load = {
  callers: number;
  /** Runs before the window opens, and counts nowhere. */
  warmUpMs: number;
  measureMs: number;
};

/** With `answered`: every operation that succeeded, those outside of the window too. It is what the ledger must hold. */
export type LoadResult = Round & { answered: number };

/**
 * Runs the callers until the window closes and the last of them has its answer. A window in which nothing was answered
 * stays open until the first answer.
 * @param request does one request and says how many operations it was; the caller's number comes with it
 * @throws what the first request that fails throws: a bench of errors measures nothing
 */
export async function runCallers(load: Load, request: (caller: number) => Promise<number>): Promise<LoadResult> {
  const { callers, warmUpMs, measureMs } = load;
  const opensAt = performance.now() + warmUpMs;
  const closesAt = opensAt + measureMs;
  const latencies: number[] = [];
  let operations = 0;
  let answered = 0;
  let measuredMs = measureMs;
  let failed = false;

  const call = async (caller: number) => {
    while (!failed) {
      const askedAt = performance.now();
      if (askedAt >= closesAt) return;
      try {
        const done = await request(caller);
        const at = performance.now();
        answered += done;
        if (at < opensAt || (at > closesAt && operations > 0)) continue;
        measuredMs = Math.max(measureMs, at - opensAt);
        operations += done;
        latencies.push(at - askedAt);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: callers }, (_, caller) => call(caller)));
  const failure = ended.find((end) => end.status === "rejected");
  if (failure) throw failure.reason;

  const sorted = Float64Array.from(latencies).sort();
  return {
    operations,
    operationsPerSecond: (operations * 1000) / measuredMs,
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
    answered,
  };
}

/** The value below which a share of the sorted values lies, by nearest rank; NaN of none. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
