// What is due by the clock: expiries, ends of leases, monthly slices of allowances, and events that were left behind.
import { settleAccountAlerts } from "~/server/billing/alerts";
import { grantDueSlices } from "~/server/billing/allowances";
import { expireLots, listOrganizationsWithDueLots } from "~/server/billing/credits";
import { tellOfDueDunning } from "~/server/billing/dunning";
import { now } from "~/server/clock";
import { asPlatform } from "~/server/db";
import type { JobPayloads } from "~/server/db/enqueue";
import { log } from "~/server/log";
import { listEventsToProcess } from "~/server/webhooks/claim";
import { processEvent } from "~/server/webhooks/process";
import { retryQuarantined } from "~/server/webhooks/replay";
import { removeOldEvents } from "~/server/webhooks/retention";

// A run takes at most this many; what is left is taken by the next one, a minute later.
const BATCH = 500;

/**
 * Writes the expiry of every lot, and the end of every hold's lease, whose time has come. Nobody waits for it: both count from
 * their instant on.
 */
export async function expireCredits(): Promise<void> {
  const at = now();
  for (const organizationId of await listOrganizationsWithDueLots(at, BATCH)) {
    try {
      const count = await expireLots(organizationId, at);
      if (count > 0) log.info("lots expired", { organizationId, count });
    } catch (error) {
      // One organization's trouble is not the others'.
      log.error("lots and leases were not ended", { organizationId, error });
    }
  }
}

/** Opens and closes the alerts of accounts whose state has changed in a take or a grant. */
export async function settleAlerts(): Promise<void> {
  const at = now();
  await asPlatform((tx) => settleAccountAlerts(tx, at));
}

/** Grants the monthly slices of longer periods. */
export async function grantSlices(): Promise<void> {
  await grantDueSlices(now(), BATCH);
}

// A sweep begins nothing new after this; the next one goes on with the oldest.
const SWEEP_MS = 30_000;
// Each waits for Stripe most of the time; a customer whose calls hang leaves the other lane to the others.
const SWEEP_LANES = 2;

/** Processes events whose job was lost, or whose worker died: the oldest of each customer, and with it what else waits of it. */
export async function sweepStripeEvents(): Promise<void> {
  const endsAt = performance.now() + SWEEP_MS;
  const waiting = (await listEventsToProcess(now(), BATCH)).values();
  const lane = async () => {
    for (const eventId of waiting) {
      if (performance.now() >= endsAt) return;
      try {
        await processEvent(eventId, now());
      } catch (error) {
        // What could not even be claimed or marked holds up no other.
        log.error("an event was not swept", { eventId, error });
      }
    }
  };
  await Promise.all(Array.from({ length: SWEEP_LANES }, lane));
}

/** Takes up what is in quarantine: by the clock, for it may have become known without anybody having said so, or because of that. */
export async function retryQuarantinedEvents({
  customerId,
}: Partial<JobPayloads["retry-quarantined-events"]> = {}): Promise<void> {
  const at = now();
  const count = await asPlatform((tx) => retryQuarantined(tx, customerId ? { customerId } : {}, at));
  if (count > 0) log.info("events in quarantine are taken up again", { count });
}

const REMOVE_MS = 20_000;

/** Removes events that were finished long ago. */
export async function removeFinishedEvents(): Promise<void> {
  const count = await removeOldEvents(now(), REMOVE_MS);
  if (count > 0) log.info("old events were removed", { count });
}

/** Tells of blocks that are near or there, and of trials that end soon. */
export async function tellOfDunning(): Promise<void> {
  await tellOfDueDunning(now(), BATCH);
}
