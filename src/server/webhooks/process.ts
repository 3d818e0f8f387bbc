// What becomes of stored events: claim those of one object, find whose it is, take that organization's lock, refetch, sync, mark.
import { BillingError } from "~/domain/errors";
import { raiseAlert } from "../billing/alerts";
import { findOwner, type Owner, type OwnerReference } from "../billing/customers";
import {
  type SyncResult,
  type SyncRun,
  syncCheckoutSession,
  syncCreditNote,
  syncCustomer,
  syncInvoice,
  syncPaymentIntent,
  syncSubscription,
} from "../billing/sync";
import { withSyncLock } from "../billing/sync-lock";
import { asPlatform, isPassing } from "../db";
import { log } from "../log";
import { readStoredEvent, retryAfterSeconds, type Stripe, stripeForJobs } from "../stripe";
import type { SyncTarget } from "../stripe/events";
import { type EventHint, findPaymentOwner, readHint } from "../stripe/facts";
import { findInvoiceOfPayment } from "../stripe/payment-facts";
import { type Claim, type ClaimedEvent, claimEvents, findNextInTurn, holdingClaim, postponeTurn } from "./claim";
import { storedHintOf } from "./hints";
import { markEvents, markFailed, type Outcome } from "./outcome";
import { enqueueTurn } from "./queue";

// Eight tries over some forty minutes for a fault of ours; what passes by itself (Stripe or the database is away, somebody else
// brings the organization up to date) is tried for as long as Stripe itself would deliver it.
const MAX_FAULTS = 8;
const GIVE_UP_AFTER_MS = 3 * 86_400_000;
const FIRST_RETRY_SECONDS = 20;
const LONGEST_RETRY_SECONDS = 3600;
const FIRST_BUSY_SECONDS = 1;
const LONGEST_BUSY_SECONDS = 60;
// What failed together is not tried again together.
const SPREAD = 0.2;
// A page holds the lock for a second or two. Whoever waits for it occupies a worker; then it comes back later.
const LOCK_WAIT_MS = 2_000;
// A customer of whom there is much to do hands the worker on after this; what is left has a job of its own.
const TURN_MS = 3_000;

type Sync = (run: SyncRun, objectId: string, invoiceIds: readonly string[]) => Promise<SyncResult>;

const SYNC: Record<SyncTarget, Sync> = {
  checkout_session: syncCheckoutSession,
  credit_note: syncCreditNote,
  customer: syncCustomer,
  subscription: syncSubscription,
  invoice: syncInvoice,
  payment_intent: syncPaymentIntent,
};

/**
 * Processes one stored event, if nobody else has or is at it, with all that wait for the same object; then, for a while, what else
 * waits of its customer.
 * @returns what became of it; null where there was nothing to do, or where whoever is at its customer's events does it too
 */
export async function processEvent(eventId: string, now: Date): Promise<string | null> {
  const endsAt = performance.now() + TURN_MS;
  let sentence: string | null = null;
  const tried: string[] = [];
  for (let next: string | null = eventId; next !== null; ) {
    const claim = await claimEvents(next, now, tried);
    if (!claim) break;
    tried.push(...claim.events.map(({ id }) => id));
    const told = await holdingClaim(
      claim,
      () => processClaim(claim, now),
      (error) => log.warn("a claim was not renewed", { eventId: claim.events[0].id, error }),
    );
    sentence ??= told.sentence;
    if (told.isOver) break;
    // Only after the claim has ended: whoever found it held and went away had stored its event before.
    next = await findNextInTurn(claim.turn, tried, now);
    if (next !== null && performance.now() > endsAt) {
      const waiting = next;
      await asPlatform((tx) => enqueueTurn(tx, claim.turn, waiting));
      break;
    }
  }
  return sentence;
}

/** Events that one look at one object serves. */
interface Part {
  target: SyncTarget | null;
  objectId: string | null;
  /** Invoices of a subscription that are a reason to look at it. */
  invoiceIds: Set<string>;
  events: [ClaimedEvent, ...ClaimedEvent[]];
}

/** What a claim came to: the sentence of the event that was asked for, and whether its customer's turn is over. */
interface Told {
  sentence: string;
  isOver: boolean;
}

async function processClaim({ turn, events }: Claim, now: Date): Promise<Told> {
  const [asked] = events;
  const sentences = new Map<string, string>();
  const parts = partsOf(events);
  for (const [index, part] of parts.entries()) {
    const leader: ClaimedEvent = part.events.find(({ id }) => id === asked.id) ?? part.events[0];
    try {
      const outcome = await look(part, leader, now);
      await markEvents(part.events, leader, outcome, now);
      for (const { id } of part.events) sentences.set(id, outcome.sentence);
    } catch (error) {
      const passing = isPassingFailure(error);
      // What passes by itself would hold up the rest as well.
      const held = passing ? parts.slice(index).flatMap((later) => later.events) : part.events;
      const outcome = await postpone(held, turn, error, passing, now);
      for (const { id } of held) sentences.set(id, outcome);
      if (passing) return { sentence: sentences.get(asked.id) ?? outcome, isOver: true };
    }
  }
  return { sentence: sentences.get(asked.id) ?? "", isOver: false };
}

/** What there is to look at for events that were claimed together: each object once, invoices with the subscription that they name. */
function partsOf(events: readonly ClaimedEvent[]): Part[] {
  const parts = new Map<string, Part>();
  for (const event of events) {
    const hint = storedHintOf(readStoredEvent(event.body));
    const invoiceId = hint.target === "invoice" && hint.subscriptionId !== null ? hint.objectId : null;
    const target = invoiceId === null ? hint.target : "subscription";
    const objectId = invoiceId === null ? hint.objectId : hint.subscriptionId;
    const key = `${target}:${objectId}`;
    const part: Part | undefined = parts.get(key);
    if (part) part.events.push(event);
    else parts.set(key, { target, objectId, invoiceIds: new Set(), events: [event] });
    if (invoiceId !== null) parts.get(key)?.invoiceIds.add(invoiceId);
  }
  return [...parts.values()];
}

const NOTHING: Outcome = { status: "ignored", organizationId: null, sentence: "nothing to look at", objectIds: [] };

/** Looks at what events are about, and makes our rows equal to it. @param leader says whose it may be */
async function look(part: Part, leader: ClaimedEvent, now: Date): Promise<Outcome> {
  const event = readStoredEvent(leader.body);
  const { target } = part;
  const lead = target ? await leadTo(part, readHint(event)) : null;
  if (!target || !lead?.objectId) return NOTHING;
  const { objectId } = lead;
  const objectIds = [objectId, ...part.invoiceIds];
  const owner = await findOwner(lead);
  if (owner.kind !== "organization") {
    const sentence = await quarantine(event, objectId, lead, owner, now);
    return { status: "quarantined", organizationId: null, sentence, objectIds };
  }
  const { organizationId } = owner;
  const { sentence, quarantined } = await withSyncLock(organizationId, { waitMs: LOCK_WAIT_MS }, (lock) =>
    SYNC[target]({ lock, stripe: stripeForJobs(), now, cause: `${event.type} ${event.id}` }, objectId, [
      ...part.invoiceIds,
    ]),
  );
  return { status: quarantined ? "quarantined" : "done", organizationId, sentence, objectIds };
}

interface Lead extends OwnerReference {
  objectId: string | null;
}

/** The object to look at, and whose it may be. What is only about a payment does not say whose it is: Stripe is asked. */
async function leadTo({ target, objectId }: Part, hint: EventHint): Promise<Lead | null> {
  if (target !== "payment_intent") return { ...hint, objectId };
  const stripe = stripeForJobs();
  const { paymentIntentId } = hint;
  if (paymentIntentId === null || hint.objectId !== paymentIntentId) return findPaymentOwner(stripe, hint);
  return { ...hint, objectId, findInvoice: () => findInvoiceOfPayment(stripe, paymentIntentId) };
}

/** Raises the alert of an object that is nobody's, as far as we know. @returns a sentence for the event log */
async function quarantine(
  event: Stripe.Event,
  objectId: string,
  lead: Lead,
  owner: Exclude<Owner, { kind: "organization" }>,
  now: Date,
): Promise<string> {
  const isMismatch = owner.kind === "mismatch";
  const sentence = isMismatch
    ? "its metadata names another organization than its customer's; nothing was changed"
    : "its customer is none that we know; nothing was changed";
  const alert = {
    organizationId: null,
    kind: isMismatch ? ("customer_mismatch" as const) : ("unknown_customer" as const),
    subject: objectId,
    message: `Event ${event.id} (${event.type}): ${sentence}.`,
    details: { event: event.id, customer: lead.customerId, named: lead.organizationId },
  };
  await asPlatform((tx) => raiseAlert(tx, alert, now));
  return sentence;
}

// ── What goes wrong ──────────────────────────────────────────────────────────────────────────────────────────

const isBusy = (error: unknown): boolean => error instanceof BillingError && error.code === "BUSY";

function isPassingFailure(error: unknown): boolean {
  return isBusy(error) || (error instanceof BillingError && error.code === "STRIPE_UNAVAILABLE") || isPassing(error);
}

/** Seconds until the next try: doubling, with an upper bound. */
export function retryDelaySeconds(attempts: number): number {
  return doubling(FIRST_RETRY_SECONDS, attempts, LONGEST_RETRY_SECONDS);
}

const doubling = (first: number, attempts: number, longest: number): number =>
  Math.min(first * 2 ** Math.max(0, attempts - 1), longest);

/** @returns what was written down */
async function postpone(
  events: readonly ClaimedEvent[],
  turn: string,
  error: unknown,
  passing: boolean,
  now: Date,
): Promise<string> {
  const outcome = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const eventIds = events.map(({ id }) => id);
  if (!passing) {
    const retries = events.map((event) => {
      const faults = event.faults + 1;
      return { event, faults, at: faults >= MAX_FAULTS ? null : later(now, retryDelaySeconds(faults)) };
    });
    await markFailed(retries, outcome, now);
    log.error("events were not processed", { eventIds, dead: retries.some(({ at }) => !at), error });
    return outcome;
  }
  const attempts = Math.max(...events.map((event) => event.attempts));
  // Never before Stripe says; somebody else who is at work at the organization is soon done.
  const seconds = isBusy(error)
    ? doubling(FIRST_BUSY_SECONDS, attempts, LONGEST_BUSY_SECONDS)
    : Math.max(retryDelaySeconds(attempts), Math.min(retryAfterSeconds(error) ?? 0, LONGEST_RETRY_SECONDS));
  const at = later(now, seconds);
  const retries = events.map((event) => ({ event, faults: event.faults, at: isTooOld(event, now) ? null : at }));
  await markFailed(retries, outcome, now);
  await postponeTurn(turn, at, `waits with ${eventIds[0]}: ${outcome}`.slice(0, 2000), now);
  log.warn("events wait", { eventIds, until: at, error });
  return outcome;
}

const later = (now: Date, seconds: number): Date =>
  new Date(now.getTime() + seconds * (1 + SPREAD * Math.random()) * 1000);

function isTooOld({ receivedAt, replayedAt }: ClaimedEvent, now: Date): boolean {
  return now.getTime() - (replayedAt ?? receivedAt).getTime() > GIVE_UP_AFTER_MS;
}
