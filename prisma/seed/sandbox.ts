// The sandbox as the seed uses it: its clock, paying a checkout as its page would, and handing over what happened.

import { env } from "~/server/env";
import { type Stripe, stripeForJobs } from "~/server/stripe";
import { processEvent } from "~/server/webhooks/process";
import { storeEvent } from "~/server/webhooks/receive";

async function control(path: string, body: unknown): Promise<unknown> {
  const response = await fetch(`${env().STRIPE_API_BASE}/_sandbox/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`the sandbox refused ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** Sets the sandbox's clock; null for real time. What falls due on the way happens. */
export async function setClock(now: Date | null): Promise<void> {
  await control("clock", { now: now === null ? null : Math.floor(now.getTime() / 1000) });
}

/** Pays a checkout with a card, as the hosted page does. @param url what the checkout procedure answered */
export async function payCheckout(url: string, card = "4242424242424242"): Promise<void> {
  const id = /cs_[A-Za-z0-9_]+/.exec(url)?.[0];
  if (!id) throw new Error(`no checkout session in ${url}`);
  await control(`checkout/${id}/complete`, { card });
}

const received = new Set<string>();

/** Receives and processes the events since the last time, oldest first, each at its own instant. */
export async function receiveEvents(): Promise<void> {
  const fresh: Stripe.Event[] = [];
  // Newest first. Not from a cursor: Stripe forgets events after thirty days, and a renewal may come later than that.
  for await (const event of stripeForJobs().events.list({ limit: 100 })) {
    if (received.has(event.id)) break;
    fresh.push(event);
  }
  for (const event of fresh.reverse()) {
    const at = new Date(event.created * 1000);
    await storeEvent({ event, body: JSON.stringify(event) }, at);
    await processEvent(event.id, at);
    received.add(event.id);
  }
}
