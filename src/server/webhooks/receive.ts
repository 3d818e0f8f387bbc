// The door for Stripe's events: verify, store, answer. Nothing else happens before the answer.
import { z } from "zod";
import { isReadable } from "~/domain/text";
import { asPlatform } from "../db";
import { enqueue } from "../db/enqueue";
import { webhookSecrets } from "../env";
import { readBody } from "../http";
import { log } from "../log";
import { isLiveMode, verifySignature } from "../stripe";
import { targetOf } from "../stripe/events";

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
    await storeEvent({ ...parsed.data, api_version: parsed.data.api_version ?? null, body }, now);
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

export interface IncomingEvent {
  id: string;
  type: string;
  api_version: string | null;
  livemode: boolean;
  created: number;
  body: string;
}

/**
 * Stores an event and asks for its processing, in one transaction. A copy is counted; it asks again only while the first is
 * not finished, so that a lost job is made good by Stripe's own retry.
 */
export async function storeEvent(event: IncomingEvent, now: Date): Promise<void> {
  const refused = event.livemode !== isLiveMode();
  const status = refused ? "refused" : targetOf(event.type) ? "received" : "ignored";
  const outcome = refused
    ? `an event of ${event.livemode ? "live" : "test"} mode, while our key is for the other`
    : status === "ignored"
      ? "a type that we do not listen to"
      : null;
  await asPlatform(async (tx) => {
    const [row] = await tx.$queryRaw<{ status: string }[]>`
      INSERT INTO stripe_events (id, type, api_version, livemode, body, status, outcome, created_at, received_at, processed_at)
      VALUES (${event.id}, ${event.type}, ${event.api_version}, ${event.livemode}, ${event.body}, ${status}::stripe_event_status, ${outcome},
        ${new Date(event.created * 1000)}::timestamptz, ${now}::timestamptz, ${status === "received" ? null : now}::timestamptz)
      ON CONFLICT (id) DO UPDATE SET deliveries = stripe_events.deliveries + 1
      RETURNING status::text AS status`;
    if (row?.status === "received" || row?.status === "failed") {
      await enqueue(tx, "process-stripe-event", { eventId: event.id }, { key: `stripe-event:${event.id}` });
    }
  });
}
