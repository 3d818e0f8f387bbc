// The door for Stripe's events: verify, store, answer. Nothing else happens before the answer.
import { z } from "zod";
import { isReadable } from "~/domain/text";
import { inOneExchange, Prisma } from "../db";
import { webhookSecrets } from "../env";
import { readBody } from "../http";
import { log } from "../log";
import { type Stripe, verifySignature } from "../stripe";
import { TURN } from "./claim";
import { firstStatusOf, storedHintOf } from "./hints";
import { retryJob, turnJob } from "./queue";

// Stripe's largest events are invoices with hundreds of lines, a few hundred kilobytes.
const MAX_BODY_BYTES = 2 * 1024 * 1024;

export interface Answer {
  status: 200 | 400 | 413 | 500 | 503;
  body: { received: boolean; reason?: string };
}

// The last second of the year 9999: beyond it, the database and JavaScript do not read an instant alike.
const LAST_SECOND = 253_402_300_799;

// What a signature does not promise: signed JSON of any shape is handed out by the SDK unchecked.
const eventShape = z.object({
  id: z.string().min(1).max(255).refine(isReadable),
  object: z.literal("event"),
  type: z.string().min(1).max(255).refine(isReadable),
  api_version: z.string().refine(isReadable).nullable().optional(),
  livemode: z.boolean(),
  created: z.int().min(0).max(LAST_SECOND),
  data: z.object({ object: z.object({ object: z.string() }).loose() }).loose(),
});

/**
 * Receives one delivery. 200 is answered only after the event is stored for good; a bad signature or shape is 400; what is
 * our own fault is 5xx, so that Stripe delivers again.
 */
export async function receiveEvent(request: Request, now: Date): Promise<Answer> {
  const secrets = webhookSecrets();
  if (secrets.length === 0) {
    log.error("webhook refused: STRIPE_WEBHOOK_SECRET is not set");
    return refuse(503, "not configured");
  }
  const signature = request.headers.get("stripe-signature");
  if (!signature) return refuse(400, "no signature");
  const body = await readBody(request, MAX_BODY_BYTES);
  if (body === null) return refuse(413, "too large");
  const verified = verifySignature(body, signature, secrets);
  if (!verified) return refuse(400, "bad signature");
  const parsed = eventShape.safeParse(verified);
  if (!parsed.success) return refuse(400, "not an event");
  try {
    await storeEvent({ event: verified, body }, now);
  } catch (error) {
    log.error("an event could not be stored", { eventId: parsed.data.id, error });
    return refuse(500, "could not be stored");
  }
  return { status: 200, body: { received: true } };
}

function refuse(status: Exclude<Answer["status"], 200>, reason: string): Answer {
  log.warn("webhook refused", { status, reason });
  return { status, body: { received: false, reason } };
}

/** An event to be kept. */
export interface IncomingEvent {
  event: Stripe.Event;
  /** Byte for byte as it was signed, or as Stripe's API told of it. */
  body: string;
  /** `reconciler`: found undelivered at Stripe. */
  source?: "webhook" | "reconciler";
}

/**
 * Stores an event and asks for its processing, in one transaction. A copy is counted; it asks again only while the first is
 * not finished, so that a lost job is made good by Stripe's own retry.
 * @returns whether it was not known before
 */
export async function storeEvent({ event, body, source = "webhook" }: IncomingEvent, now: Date): Promise<boolean> {
  const { status, outcome } = firstStatusOf(event);
  const { target, objectId, customerId, subscriptionId } = storedHintOf(event);
  // A refund or a dispute does not say whose it is; of a payment that we know we do.
  const customer =
    target === "payment_intent" && customerId === null && objectId !== null
      ? Prisma.sql`(SELECT o.stripe_customer_id FROM stripe_payments p JOIN organizations o ON o.id = p.organization_id WHERE p.id = ${objectId})`
      : Prisma.sql`${customerId}`;
  const [[stored]] = await inOneExchange<[{ deliveries: number }]>(Prisma.sql`
    WITH stored AS (
      INSERT INTO stripe_events AS e (id, type, api_version, livemode, source, body, target, object_id, customer_id, subscription_id, status,
        outcome, created_at, received_at, processed_at)
      VALUES (${event.id}, ${event.type}, ${event.api_version ?? null}, ${event.livemode}, ${source}::stripe_event_source, ${body}, ${target},
        ${objectId}, ${customer}, ${subscriptionId}, ${status}::stripe_event_status, ${outcome},
        ${new Date(event.created * 1000)}::timestamptz, ${now}::timestamptz, ${status === "received" ? null : now}::timestamptz)
      ON CONFLICT (id) DO UPDATE SET deliveries = e.deliveries + 1
      RETURNING e.status, e.deliveries, ${TURN} AS turn, e.next_attempt_at)
    SELECT deliveries, CASE
      WHEN status = 'received' THEN ${turnJob(Prisma.sql`turn`, event.id)}
      WHEN status = 'failed' AND next_attempt_at IS NOT NULL THEN ${retryJob(event.id, Prisma.sql`next_attempt_at`)}
    END FROM stored`);
  return stored?.deliveries === 1;
}
