// Writes down what became of events, and closes the alerts that this settles.
import type { Alert } from "../billing/alerts";
import { raiseAlert } from "../billing/alerts";
import { asPlatform, inOneExchange, Prisma, type Transaction } from "../db";
import type { ClaimedEvent } from "./claim";
import { enqueueRetry } from "./queue";

export interface Outcome {
  /** `quarantined`: not ours as far as we know; taken up again when more is known. */
  status: "done" | "ignored" | "quarantined";
  organizationId: string | null;
  sentence: string;
  /** What was looked at: alerts of events in quarantine are about it. */
  objectIds: readonly string[];
}

/** What a sentence may be long. */
const MOST_CHARACTERS = 2000;

export const cut = (text: string): string => text.slice(0, MOST_CHARACTERS);

/**
 * Writes down what one look at Stripe has brought to all events that it was for.
 * @param leader the event that tells; the others say that they were done with it
 */
export async function markEvents(
  events: readonly ClaimedEvent[],
  leader: ClaimedEvent,
  outcome: Outcome,
  now: Date,
): Promise<void> {
  const { status, organizationId, objectIds } = outcome;
  const ids = events.map(({ id }) => id);
  const told = cut(`done with ${leader.id}: ${outcome.sentence}`);
  const marking = Prisma.sql`
    UPDATE stripe_events SET status = ${status}::stripe_event_status, organization_id = ${organizationId}::uuid, processed_at = ${now}::timestamptz,
      outcome = CASE WHEN id = ${leader.id} THEN ${cut(outcome.sentence)} ELSE ${told} END, lease_until = NULL, next_attempt_at = NULL
    WHERE id = ANY(${ids})`;
  // Only what was asked for again can have alerts: they were raised when it was dead or in quarantine.
  const again = events.filter(({ replayedAt }) => replayedAt !== null).map(({ id }) => id);
  const settles = status !== "quarantined" && again.length > 0;
  await inOneExchange(marking, ...(settles ? [resolvingEventAlerts(again, objectIds, now)] : []));
}

/** Closes what was told of events, and of the objects that they are about, unless other events of these are still in quarantine. */
export async function resolveEventAlerts(
  tx: Transaction,
  eventIds: readonly string[],
  objectIds: readonly string[],
  now: Date,
): Promise<void> {
  await tx.$executeRaw(resolvingEventAlerts(eventIds, objectIds, now));
}

const resolvingEventAlerts = (eventIds: readonly string[], objectIds: readonly string[], now: Date) => Prisma.sql`
  UPDATE billing_alerts a SET resolved_at = ${now}::timestamptz WHERE a.organization_id IS NULL AND a.resolved_at IS NULL AND (
    (a.kind = 'event_dead' AND a.subject = ANY(${[...eventIds]}))
    OR (a.kind IN ('unknown_customer', 'customer_mismatch') AND a.subject = ANY(${[...objectIds]}) AND NOT EXISTS (
      SELECT FROM stripe_events e WHERE e.status = 'quarantined' AND a.subject IN (e.object_id, e.subscription_id))))`;

/** When an event is tried again; null where it is not. */
export interface Retry {
  event: ClaimedEvent;
  faults: number;
  at: Date | null;
}

/** Writes down that events were not processed, asks for their next try, and raises an alert for those that have no other. */
export async function markFailed(retries: readonly Retry[], outcome: string, now: Date): Promise<void> {
  await asPlatform(async (tx) => {
    const rows = retries.map(
      ({ event, faults, at }) =>
        Prisma.sql`(${event.id}, ${faults}::int, ${at}::timestamptz, ${at ? "failed" : "dead"})`,
    );
    await tx.$executeRaw`
      UPDATE stripe_events e SET status = r.status::stripe_event_status, outcome = ${cut(outcome)}, faults = r.faults, lease_until = NULL,
        next_attempt_at = r.at
      FROM (VALUES ${Prisma.join(rows)}) r (id, faults, at, status) WHERE e.id = r.id`;
    // Of those that are due in the same instant, whoever does one does all of them.
    const jobs = new Map(retries.flatMap(({ event, at }) => (at ? [[at.getTime(), { id: event.id, at }]] : [])));
    for (const { id, at } of jobs.values()) await enqueueRetry(tx, id, at);
    for (const { event, at } of retries) if (!at) await raiseAlert(tx, deadAlert(event, outcome), now);
  });
}

function deadAlert({ id, attempts }: ClaimedEvent, outcome: string): Alert {
  const message = `Event ${id} failed ${attempts} times and is not tried again: ${outcome.slice(0, 300)}`;
  return { organizationId: null, kind: "event_dead", subject: id, message };
}
