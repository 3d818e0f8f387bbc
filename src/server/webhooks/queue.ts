// Jobs for events. A lost one is made good by the sweep.
import type { Transaction } from "../db";
import { enqueue } from "../db/enqueue";

/**
 * Asks for the processing of what waits for a turn, after the commit. There is one such job for each turn, however many events
 * come: whoever does one of them goes on with the others.
 * @param eventId the newest of them
 */
export function enqueueTurn(tx: Transaction, turn: string, eventId: string): Promise<void> {
  return enqueue(tx, "process-stripe-event", { eventId }, { key: `stripe-turn:${turn}` });
}

/** Asks for another try of an event. */
export function enqueueRetry(tx: Transaction, eventId: string, runAt: Date): Promise<void> {
  return enqueue(tx, "process-stripe-event", { eventId }, { key: `stripe-event:${eventId}`, runAt });
}
