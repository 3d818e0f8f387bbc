// One stored Stripe event.
import { now } from "~/server/clock";
import type { JobPayloads } from "~/server/db/enqueue";
import { log } from "~/server/log";
import { processEvent } from "~/server/webhooks/process";

export async function processStripeEvent({ eventId }: JobPayloads["process-stripe-event"]): Promise<void> {
  const sentence = await processEvent(eventId, now());
  if (sentence) log.info("event processed", { eventId, sentence });
}
