// What is due by the clock: expiries, ends of leases, monthly slices of allowances, and events that were left behind.
import { settleAccountAlerts } from "~/server/billing/alerts";
import { grantDueSlices } from "~/server/billing/allowances";
import { expireLots, listOrganizationsWithDueLots } from "~/server/billing/credits";
import { now } from "~/server/clock";
import { asPlatform } from "~/server/db";
import { log } from "~/server/log";
import { listEventsToProcess, processEvent } from "~/server/webhooks/process";

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

/** Processes events whose job was lost, or whose worker died. */
export async function sweepStripeEvents(): Promise<void> {
  for (const eventId of await listEventsToProcess(now(), BATCH)) await processEvent(eventId, now());
}
