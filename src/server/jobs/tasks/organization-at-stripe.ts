// What Stripe is told of an organization that changed here. What is thrown is tried again by the queue, for days.
import { renameCustomer } from "~/server/billing/customers";
import { closeAtStripe } from "~/server/billing/organization-removal";
import { finishReplacing } from "~/server/billing/schedules";
import { now } from "~/server/clock";
import type { JobPayloads } from "~/server/db/enqueue";
import { stripeForJobs } from "~/server/stripe";

export async function renameAtStripe({ organizationId }: JobPayloads["rename-customer"]): Promise<void> {
  await renameCustomer(stripeForJobs(), organizationId);
}

export async function closeOrganization({ organizationId }: JobPayloads["close-organization"]): Promise<void> {
  await closeAtStripe(organizationId, now());
}

export async function releaseSchedule({ organizationId }: JobPayloads["release-schedule"]): Promise<void> {
  await finishReplacing(organizationId, now());
}
