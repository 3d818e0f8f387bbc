// A run of the reconciler: by the clock, when the platform asks for one, and for the command. What it needs of the webhook's side,
// the way of an event into the log and through it, is put together here.
import { BillingError } from "~/domain/errors";
import {
  type EventDoor,
  type ReconcileOptions,
  type ReconciliationReport,
  reconcile,
} from "~/server/billing/reconcile";
import { now } from "~/server/clock";
import type { JobPayloads } from "~/server/db/enqueue";
import { log } from "~/server/log";
import { processEvent } from "~/server/webhooks/process";
import { storeEvent } from "~/server/webhooks/receive";

const door: EventDoor = {
  async take(event, at) {
    await storeEvent({ event, body: JSON.stringify(event), source: "reconciler" }, at);
    await processEvent(event.id, at);
  },
};

/** @throws BillingError BUSY where one is running, STRIPE_UNAVAILABLE: the next one goes on from there */
export function runReconciliation(options: ReconcileOptions): Promise<ReconciliationReport> {
  return reconcile(options, door);
}

/** By the clock. One that is cut off, or meets another that runs, is left to the next hour. */
export async function reconcileHourly(): Promise<void> {
  await unlessPassing(() => runReconciliation({ cause: "hourly", since: null, now: now() }));
}

/** Because somebody of the platform asked. */
export async function reconcileOnRequest({ cause, since }: JobPayloads["reconcile"]): Promise<void> {
  await unlessPassing(() => runReconciliation({ cause, since: since === null ? null : new Date(since), now: now() }));
}

async function unlessPassing(run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof BillingError)) throw error;
    log.warn("a reconciliation did not come to its end", { error });
  }
}
