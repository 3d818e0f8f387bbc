// Stripe's deliveries made by hand, in an order of the test's choosing, and what became of them.
import type Stripe from "stripe";
import { targetOf } from "~/server/stripe/events";
import type { App } from "../../setup/app";
import { delivery, type Sql } from "../../setup/billing";
import { until } from "./until";

/** Sends a body to an instance, signed unless told otherwise. @returns the status of the answer */
export async function send(app: App, body: string, options: Parameters<typeof delivery>[1] = {}): Promise<number> {
  const { headers } = delivery(body, options);
  const response = await fetch(app.webhookUrl, { method: "POST", headers, body });
  await response.arrayBuffer();
  return response.status;
}

export function sendEvent(app: App, event: Stripe.Event, secret?: string): Promise<number> {
  return send(app, JSON.stringify(event), secret === undefined ? {} : { secret });
}

/** What Stripe would send about a customer, oldest first. */
export async function eventsOf(stripe: Stripe, customer: string): Promise<Stripe.Event[]> {
  const found: Stripe.Event[] = [];
  for await (const event of stripe.events.list({ limit: 100 })) {
    if (targetOf(event.type) !== null && (event.data.object as { customer?: unknown }).customer === customer)
      found.push(event);
  }
  return found.reverse();
}

export interface StoredEvent {
  status: string;
  outcome: string | null;
  attempts: number;
  deliveries: number;
}

export async function findStored(sql: Sql, eventId: string): Promise<StoredEvent | null> {
  const [row] = await sql<{ status: string; outcome: string | null; attempts: number; deliveries: number }>(
    "SELECT status::text AS status, outcome, attempts, deliveries FROM stripe_events WHERE id = $1",
    [eventId],
  );
  return row ?? null;
}

export async function countStored(sql: Sql): Promise<number> {
  const [row] = await sql<{ count: number }>("SELECT count(*)::int AS count FROM stripe_events");
  return row?.count ?? 0;
}

/** Waits until an event has been dealt with. Fails where it is given up. */
export async function untilDone(sql: Sql, eventId: string): Promise<StoredEvent> {
  let last: StoredEvent | null = null;
  try {
    return await until(
      "the event is processed",
      async () => {
        last = await findStored(sql, eventId);
        return last?.status === "done" ? last : null;
      },
      90_000,
    );
  } catch (error) {
    throw new Error(`${(error as Error).message} Event ${eventId} is ${JSON.stringify(last)}.`, { cause: error });
  }
}
