// What becomes of a stored event: claim it, find whose it is, take that organization's lock, refetch, sync, mark.
import { BillingError } from "~/domain/errors";
import { raiseAlert } from "../billing/alerts";
import { findOwner } from "../billing/customers";
import { type SyncRun, syncCheckoutSession, syncInvoice, syncPaymentIntent, syncSubscription } from "../billing/sync";
import { withSyncLock } from "../billing/sync-lock";
import { asPlatform, isPassing } from "../db";
import { enqueue } from "../db/enqueue";
import { log } from "../log";
import { type Stripe, stripeForJobs } from "../stripe";
import { type SyncTarget, targetOf } from "../stripe/events";
import { type EventHint, findPaymentOwner, readHint } from "../stripe/facts";

// A claim is renewed while its worker lives; after it the event is another worker's.
const LEASE_SECONDS = 30;
const RENEW_EVERY_MS = 10_000;
// Eight tries over some forty minutes for a fault of ours; what passes by itself (Stripe or the database is away, another
// event of the organization is at work) is tried for as long as Stripe itself would deliver it.
const MAX_FAULTS = 8;
const GIVE_UP_AFTER_MS = 3 * 86_400_000;
const FIRST_RETRY_SECONDS = 20;
const BUSY_RETRY_SECONDS = 1;
const LONGEST_RETRY_SECONDS = 3600;
const LOCK_WAIT_MS = 10_000;

const SYNC: Record<SyncTarget, (run: SyncRun, objectId: string) => Promise<string>> = {
  checkout_session: syncCheckoutSession,
  subscription: syncSubscription,
  invoice: syncInvoice,
  payment_intent: syncPaymentIntent,
};

type Outcome = { status: "done" | "ignored"; organizationId: string | null; sentence: string };

/**
 * Processes one stored event, if nobody else has or is at it.
 * @returns what became of it; null where there was nothing to do
 */
export async function processEvent(eventId: string, now: Date): Promise<string | null> {
  const claimed = await claim(eventId, now);
  if (!claimed) return null;
  const renewal = setInterval(() => {
    renew(eventId).catch((error) => log.warn("a claim was not renewed", { eventId, error }));
  }, RENEW_EVERY_MS);
  try {
    const outcome = await apply(JSON.parse(claimed.body) as Stripe.Event, now);
    await asPlatform((tx) =>
      tx.stripeEvent.update({
        where: { id: eventId },
        data: {
          status: outcome.status,
          outcome: outcome.sentence,
          organizationId: outcome.organizationId,
          processedAt: now,
          leaseUntil: null,
          nextAttemptAt: null,
        },
      }),
    );
    return outcome.sentence;
  } catch (error) {
    return await postpone(eventId, claimed, error, now);
  } finally {
    clearInterval(renewal);
  }
}

async function renew(eventId: string): Promise<void> {
  await asPlatform(
    (tx) => tx.$executeRaw`
      UPDATE stripe_events SET lease_until = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}::int)
      WHERE id = ${eventId} AND status = 'processing'`,
  );
}

interface Claimed {
  body: string;
  attempts: number;
  faults: number;
  received_at: Date;
}

async function claim(eventId: string, now: Date): Promise<Claimed | null> {
  const [row] = await asPlatform(
    (tx) => tx.$queryRaw<Claimed[]>`
      UPDATE stripe_events SET status = 'processing', attempts = attempts + 1,
        lease_until = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}::int)
      WHERE id = ${eventId} AND (
        status = 'received'
        OR (status = 'failed' AND next_attempt_at <= greatest(${now}::timestamptz, clock_timestamp()))
        OR (status = 'processing' AND lease_until < clock_timestamp()))
      RETURNING body, attempts, faults, received_at`,
  );
  return row ?? null;
}

async function apply(event: Stripe.Event, now: Date): Promise<Outcome> {
  const target = targetOf(event.type);
  const hint = target ? await leadTo(target, readHint(event)) : null;
  if (!target || !hint?.objectId) return { status: "ignored", organizationId: null, sentence: "nothing to look at" };
  const { objectId } = hint;
  const owner = await findOwner(hint);
  if (owner.kind !== "organization") {
    const sentence =
      owner.kind === "mismatch"
        ? "its metadata names another organization than its customer's; nothing was changed"
        : "its customer is none that we know; nothing was changed";
    await asPlatform((tx) =>
      raiseAlert(
        tx,
        {
          organizationId: null,
          kind: owner.kind === "mismatch" ? "customer_mismatch" : "unknown_customer",
          subject: objectId,
          message: `Event ${event.id} (${event.type}): ${sentence}.`,
          details: { event: event.id, customer: hint.customerId, named: hint.organizationId },
        },
        now,
      ),
    );
    return { status: "ignored", organizationId: null, sentence };
  }
  const sentence = await withSyncLock(owner.organizationId, { waitMs: LOCK_WAIT_MS }, (lock) =>
    SYNC[target]({ lock, stripe: stripeForJobs(), now, cause: `${event.type} ${event.id}` }, objectId),
  );
  return { status: "done", organizationId: owner.organizationId, sentence };
}

type Lead = Pick<EventHint, "objectId" | "customerId" | "organizationId">;

/** The object to look at, and whose it may be. What is only about a payment does not say whose it is: Stripe is asked. */
async function leadTo(target: SyncTarget, hint: EventHint): Promise<Lead | null> {
  if (target !== "payment_intent" || hint.objectId === hint.paymentIntentId) return hint;
  return findPaymentOwner(stripeForJobs(), hint);
}

/** Seconds until the next try: doubling, with an upper bound. */
export function retryDelaySeconds(attempts: number): number {
  return Math.min(FIRST_RETRY_SECONDS * 2 ** Math.max(0, attempts - 1), LONGEST_RETRY_SECONDS);
}

async function postpone(eventId: string, claimed: Claimed, error: unknown, now: Date): Promise<string> {
  const busy = error instanceof BillingError && error.code === "BUSY";
  const passing = busy || (error instanceof BillingError && error.code === "STRIPE_UNAVAILABLE") || isPassing(error);
  const faults = claimed.faults + (passing ? 0 : 1);
  const tooOld = now.getTime() - claimed.received_at.getTime() > GIVE_UP_AFTER_MS;
  const dead = faults >= MAX_FAULTS || (passing && tooOld);
  const outcome = error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 2000) : String(error);
  // Waiting for another event of the same organization is no failure: it is taken up again at once.
  const delaySeconds = busy ? BUSY_RETRY_SECONDS : retryDelaySeconds(passing ? claimed.attempts : faults);
  const nextAttemptAt = new Date(now.getTime() + delaySeconds * 1000);
  await asPlatform(async (tx) => {
    await tx.stripeEvent.update({
      where: { id: eventId },
      data: {
        status: dead ? "dead" : "failed",
        outcome,
        faults,
        leaseUntil: null,
        nextAttemptAt: dead ? null : nextAttemptAt,
      },
    });
    if (!dead) {
      await enqueue(tx, "process-stripe-event", { eventId }, { key: `stripe-event:${eventId}`, runAt: nextAttemptAt });
    } else {
      const message = `Event ${eventId} failed ${claimed.attempts} times and is not tried again: ${outcome.slice(0, 300)}`;
      await raiseAlert(tx, { organizationId: null, kind: "event_dead", subject: eventId, message }, now);
    }
  });
  (passing ? log.warn : log.error)("an event was not processed", { eventId, attempts: claimed.attempts, dead, error });
  return outcome;
}

/**
 * Events that wait for processing: never begun, due again, or left behind by a process that died.
 * @returns ids, oldest first
 */
export function listEventsToProcess(now: Date, limit: number): Promise<string[]> {
  return asPlatform(async (tx) => {
    const rows = await tx.$queryRaw<{ id: string }[]>`
      SELECT id FROM stripe_events
      WHERE status IN ('received', 'processing', 'failed') AND (
        status = 'received'
        OR (status = 'failed' AND next_attempt_at <= greatest(${now}::timestamptz, clock_timestamp()))
        OR (status = 'processing' AND lease_until < clock_timestamp()))
      ORDER BY received_at LIMIT ${limit}`;
    return rows.map((row) => row.id);
  });
}
