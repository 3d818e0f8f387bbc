// For how long finished events are kept. What is dead or in quarantine stays until a person has decided.
import { setTimeout as sleep } from "node:timers/promises";
import { asPlatform } from "../db";

/** Stripe may tell of an event again for 30 days; an event that is known by then is a copy. */
const KEPT_DAYS = 90;
const DAY_MS = 86_400_000;
const AT_ONCE = 1000;
// Others write to the table meanwhile.
const PAUSE_MS = 20;

/**
 * Removes events that were finished more than 90 days ago, a thousand at a time, oldest first.
 * @param mostMs for how long at most; the next call goes on
 * @returns how many
 */
export async function removeOldEvents(now: Date, mostMs: number): Promise<number> {
  const endsAt = performance.now() + mostMs;
  const before = new Date(now.getTime() - KEPT_DAYS * DAY_MS);
  for (let removed = 0; ; await sleep(PAUSE_MS)) {
    // Looked for once: a subquery may be asked again for each row, with other rows for an answer.
    const taken = await asPlatform(
      (tx) => tx.$executeRaw`
        WITH old AS MATERIALIZED (
          SELECT id FROM stripe_events
          WHERE status IN ('done', 'ignored', 'refused') AND processed_at < ${before}::timestamptz AND received_at < ${before}::timestamptz
          ORDER BY processed_at LIMIT ${AT_ONCE} FOR UPDATE SKIP LOCKED)
        DELETE FROM stripe_events USING old WHERE stripe_events.id = old.id`,
    );
    removed += taken;
    if (taken < AT_ONCE || performance.now() >= endsAt) return removed;
  }
}
