// Waiting for a condition, as long as a slow machine may need and no longer.
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 50;
const LIMIT_MS = 60_000;

/**
 * Asks again and again until there is an answer that is neither false nor null nor undefined, and returns it.
 * A probe that throws has no answer yet; its error is told when time is up.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  limitMs = LIMIT_MS,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  let last: unknown;
  while (performance.now() < deadline) {
    try {
      const answer = await probe();
      if (answer !== false && answer !== null && answer !== undefined) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await sleep(POLL_MS);
  }
  throw new Error(`It did not happen within ${limitMs / 1000} seconds: ${what}.`, { cause: last });
}
