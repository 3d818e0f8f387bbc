// Events that are taken up again: by a person who has mended something, or because what they lacked has become known; and those
// that a person puts aside.
import { BillingError, invariant } from "~/domain/errors";
import { asPlatform, Prisma, type Transaction } from "../db";
import { readStoredEvent } from "../stripe";
import { TURN } from "./claim";
import { firstStatusOf, storedHintOf } from "./hints";
import { cut, resolveEventAlerts } from "./outcome";
import { enqueueTurn } from "./queue";

/** What is not finished and does not wait for a worker. */
export const REPLAYABLE = ["dead", "failed", "quarantined"] as const;
export type Replayable = (typeof REPLAYABLE)[number];

/** What an event is before it begins anew. */
const AFRESH = Prisma.sql`status = 'received', attempts = 0, faults = 0, lease_until = NULL, next_attempt_at = NULL, processed_at = NULL`;

export interface Replayed {
  id: string;
  /** What it was. */
  from: string;
  /** `received`: it is processed anew. Else why it is not, as at its receipt. */
  to: "received" | "ignored" | "refused";
}

/**
 * Processes one event anew, from its stored body, whatever became of it: its tries begin again, and what it hints at is read as
 * this release reads it.
 * @throws BillingError NOT_FOUND, or BUSY while it is being processed
 */
export function replayEvent(eventId: string, now: Date): Promise<Replayed> {
  return asPlatform(async (tx) => {
    const { status: from, body } = await lockEvent(tx, eventId);
    const event = readStoredEvent(body);
    const { status: to, outcome } = firstStatusOf(event);
    const { target, objectId, customerId, subscriptionId } = storedHintOf(event);
    const [row] = await tx.$queryRaw<{ turn: string }[]>`
      UPDATE stripe_events e SET ${AFRESH}, replayed_at = ${now}::timestamptz, target = ${target}, object_id = ${objectId},
        customer_id = coalesce(${customerId}, customer_id), subscription_id = ${subscriptionId}
      WHERE id = ${eventId} RETURNING ${TURN} AS turn`;
    if (to === "received" && row) await enqueueTurn(tx, row.turn, eventId);
    else {
      await tx.stripeEvent.update({ where: { id: eventId }, data: { status: to, outcome, processedAt: now } });
    }
    return { id: eventId, from, to };
  });
}

interface LockedEvent {
  status: string;
  body: string;
  outcome: string | null;
  /** Its own object's, and the subscription's that it is about. */
  objectIds: string[];
}

async function lockEvent(tx: Transaction, eventId: string): Promise<LockedEvent> {
  const [row] = await tx.$queryRaw<(LockedEvent & { isHeld: boolean | null })[]>`
    SELECT status::text AS status, body, outcome, array_remove(ARRAY[object_id, subscription_id], NULL) AS "objectIds",
      status = 'processing' AND lease_until >= clock_timestamp() AS "isHeld"
    FROM stripe_events WHERE id = ${eventId} FOR UPDATE`;
  if (!row) throw new BillingError("NOT_FOUND", "There is no such event.", { eventId });
  if (row.isHeld) {
    throw new BillingError("BUSY", "The event is being processed. Please try again in a moment.", { retryable: true });
  }
  return row;
}

export interface ReplaySpan {
  statuses: readonly Replayable[];
  /** By when the events came. */
  from?: Date | undefined;
  until?: Date | undefined;
  type?: string | undefined;
}

const AT_ONCE = 500;
const MOST = 10_000;

/**
 * Processes anew all events of a span that are dead, have failed or are in quarantine, oldest first, at most 10,000 in a call.
 * @returns how many, and whether there are more
 */
export async function replayEvents(span: ReplaySpan, now: Date): Promise<{ replayed: number; hasMore: boolean }> {
  const { statuses, from, until, type } = span;
  invariant(statuses.length > 0, "a span without a status");
  const conditions = [
    // Written out: the indexes of those that are open, and of those for a person, are only found by what the statement says.
    Prisma.sql`status IN (${Prisma.raw(
      REPLAYABLE.filter((status) => statuses.includes(status))
        .map((status) => `'${status}'`)
        .join(", "),
    )})`,
    // What fails again meanwhile is not taken twice.
    Prisma.sql`(replayed_at IS NULL OR replayed_at < ${now}::timestamptz)`,
    ...(from ? [Prisma.sql`received_at >= ${from}::timestamptz`] : []),
    ...(until ? [Prisma.sql`received_at < ${until}::timestamptz`] : []),
    ...(type === undefined ? [] : [Prisma.sql`type = ${type}`]),
  ];
  const wanted = Prisma.join(conditions, " AND ");
  for (let replayed = 0; ; ) {
    const limit = Math.min(AT_ONCE, MOST - replayed);
    const taken = limit === 0 ? 0 : await asPlatform((tx) => takeUp(tx, wanted, Prisma.sql`received_at`, limit, now));
    replayed += taken;
    if (taken < limit || limit === 0) return { replayed, hasMore: limit === 0 && (await exists(wanted)) };
  }
}

async function exists(wanted: Prisma.Sql): Promise<boolean> {
  const rows = await asPlatform((tx) => tx.$queryRaw<unknown[]>`SELECT 1 FROM stripe_events WHERE ${wanted} LIMIT 1`);
  return rows.length > 0;
}

/** Begins events anew, and asks for a job for each customer among them. @returns how many */
async function takeUp(
  tx: Transaction,
  wanted: Prisma.Sql,
  order: Prisma.Sql,
  limit: number,
  now: Date,
): Promise<number> {
  const rows = await tx.$queryRaw<{ id: string; turn: string }[]>`
    WITH chosen AS MATERIALIZED (
      SELECT id FROM stripe_events WHERE ${wanted} ORDER BY ${order} LIMIT ${limit} FOR UPDATE SKIP LOCKED)
    UPDATE stripe_events e SET ${AFRESH}, replayed_at = ${now}::timestamptz
    FROM chosen WHERE e.id = chosen.id RETURNING e.id, ${TURN} AS turn`;
  // In one order, for two that do the same at once wait for each other's jobs.
  const heads = new Map(rows.map(({ id, turn }) => [turn, id] as const).sort(([a], [b]) => (a < b ? -1 : 1)));
  for (const [turn, id] of heads) await enqueueTurn(tx, turn, id);
  return rows.length;
}

/** For how long after its receipt an event in quarantine is taken up again by itself: as long as Stripe tells of it. */
const QUARANTINE_MS = 30 * 86_400_000;
// One look by the clock; those that were looked at longest ago first, so that each has its turn.
const MOST_FROM_QUARANTINE = 500;

/**
 * Takes up events again that were put in quarantine within the last 30 days. Those that still lack something go back. Use-cases by
 * which something becomes known, a customer its organization or a price its plan, ask for the job `retry-quarantined-events`.
 * @param which of one customer; without it, of all, at most 500, those that were looked at longest ago first
 * @returns how many
 */
export function retryQuarantined(tx: Transaction, which: { customerId?: string }, now: Date): Promise<number> {
  const { customerId } = which;
  const wanted = Prisma.sql`status = 'quarantined' AND received_at > ${new Date(now.getTime() - QUARANTINE_MS)}::timestamptz ${
    customerId === undefined ? Prisma.empty : Prisma.sql`AND customer_id = ${customerId}`
  }`;
  return takeUp(tx, wanted, Prisma.sql`processed_at, id`, MOST_FROM_QUARANTINE, now);
}

/**
 * Puts an event aside that is dead or in quarantine, for a reason that is kept with what had become of it. Closes its alerts.
 * @param who whoever decided it
 * @throws BillingError NOT_FOUND, or INVALID_INPUT where it is neither
 */
export function ignoreEvent(eventId: string, who: string, reason: string, now: Date): Promise<void> {
  return asPlatform(async (tx) => {
    const { status, outcome, objectIds } = await lockEvent(tx, eventId);
    if (status !== "dead" && status !== "quarantined") {
      throw new BillingError("INVALID_INPUT", "Only an event that is dead or in quarantine can be put aside.", {
        status,
      });
    }
    const sentence = cut(`put aside by ${who}: ${reason} (was ${status}: ${outcome ?? "no outcome"})`);
    await tx.stripeEvent.update({
      where: { id: eventId },
      data: { status: "ignored", outcome: sentence, processedAt: now, nextAttemptAt: null },
    });
    await resolveEventAlerts(tx, [eventId], objectIds, now);
  });
}
