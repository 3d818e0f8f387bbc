// Jobs for events. A lost one is made good by the sweep.
import { Prisma, type Transaction } from "../db";
import { enqueue, jobCall } from "../db/enqueue";

/**
 * Asks for the processing of what waits for a turn, after the commit. There is one such job for each turn, however many events
 * come: whoever does one of them goes on with the others.
 * @param eventId the newest of them
 */
export function enqueueTurn(tx: Transaction, turn: string, eventId: string): Promise<void> {
  return enqueue(tx, "process-stripe-event", { eventId }, { key: TURN_KEY + turn });
}

const TURN_KEY = "stripe-turn:";

/** The same, as part of a statement. @param turn an expression */
export function turnJob(turn: Prisma.Sql, eventId: string): Prisma.Sql {
  return jobCall("process-stripe-event", { eventId }, { key: Prisma.sql`${TURN_KEY}::text || ${turn}` });
}

/** Asks for another try of an event. */
export function enqueueRetry(tx: Transaction, eventId: string, runAt: Date): Promise<void> {
  return enqueue(tx, "process-stripe-event", { eventId }, { key: retryKey(eventId), runAt });
}

const retryKey = (eventId: string): string => `stripe-event:${eventId}`;

/** The same, as part of a statement. @param runAt an expression */
export function retryJob(eventId: string, runAt: Prisma.Sql): Prisma.Sql {
  return jobCall("process-stripe-event", { eventId }, { key: Prisma.sql`${retryKey(eventId)}`, runAt });
}
