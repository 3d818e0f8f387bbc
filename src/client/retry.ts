// When to try again, and when not: pure, with chance as an argument.
import type { BillingClientFailure } from "./errors";

const FIRST_CEILING_MS = 100;
const LAST_CEILING_MS = 5_000;

/**
 * Milliseconds before try number `attempt + 1`: what the server asked for, and on top of it anything up to a ceiling that
 * doubles with each try. Full jitter: callers that failed together do not come back together.
 * @param random from 0 to 1
 */
export function delayMs(attempt: number, retryAfterMs: number | null, random: number): number {
  const ceiling = Math.min(FIRST_CEILING_MS * 2 ** (attempt - 1), LAST_CEILING_MS);
  return (retryAfterMs ?? 0) + random * ceiling;
}

// Changes that need no key: what is extended or released twice is as if it were once.
const HARMLESS = new Set(["credits.extendHold", "credits.releaseHold"]);

/**
 * Whether a call may be made again after it failed: a question may always be; a change only where a key makes the copies
 * one. Of many changes in one call, each has to carry its own.
 */
export function isRepeatable(kind: "query" | "mutation", procedure: string, input: unknown): boolean {
  if (kind === "query" || HARMLESS.has(procedure)) return true;
  const { idempotencyKey, items } = (input ?? {}) as { idempotencyKey?: unknown; items?: unknown };
  if (Array.isArray(items)) return items.every((item) => isRepeatable(kind, procedure, item));
  return typeof idempotencyKey === "string";
}

/** Reads Retry-After, which is seconds or a date. @returns milliseconds from `now`; null for none or nonsense */
export function retryAfterHeaderMs(header: string | null, now: number): number | null {
  if (header === null) return null;
  const seconds = Number(header);
  const ms = header.trim() !== "" && Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

/** Whether a failure leaves a consume undecided in a way that a spool is for: nobody answered, or "too much at once". */
export function isAway(failure: BillingClientFailure): boolean {
  return failure.code === "UNREACHABLE" || failure.code === "OVERLOADED";
}
