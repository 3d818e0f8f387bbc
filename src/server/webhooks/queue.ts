// Jobs for events. Every event that waits has one, or is waited for by one of its customer; a lost job is made good by the sweep.
import type { Transaction } from "../db";
import { enqueue } from "../db/enqueue";

/** Asks for an event's processing after the commit; a job of it that has not begun is replaced. */
export function enqueueEvent(tx: Transaction, eventId: string, runAt?: Date): Promise<void> {
  const key = `stripe-event:${eventId}`;
  return enqueue(tx, "process-stripe-event", { eventId }, runAt ? { key, runAt } : { key });
}
