// Deleting an organization: here at once, at Stripe by a job that is tried until it is done.

import { BillingError } from "~/domain/errors";
import { isEnded } from "~/domain/subscription";
import { asPlatform } from "../db";
import { callStripe, findAtStripe, type Stripe, stripeForJobs } from "../stripe";
import { listIfThere } from "../stripe/lists";
import { syncCheckoutSession, syncSubscription } from "./sync";
import { enqueueClosing } from "./sync/removed";
import { type SyncLock, withSyncLock } from "./sync-lock";

/**
 * Deletes an organization. Its members and keys have no way to it from this instant on and its credits cannot be spent; ledger
 * and history stay. What it has at Stripe is ended by a job.
 * @param request.slug its address, typed by whoever deletes it
 * @throws BillingError NOT_FOUND, INVALID_INPUT where the slug is another
 */
export async function removeOrganization(request: { organizationId: string; slug: string; now: Date }): Promise<void> {
  const { organizationId, slug, now } = request;
  await asPlatform(async (tx) => {
    const organization = await tx.organization.findFirst({
      where: { id: organizationId, deletedAt: null },
      select: { slug: true },
    });
    if (!organization) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
    if (organization.slug !== slug) {
      throw new BillingError("INVALID_INPUT", "Type the organization's address to delete it.", { field: "slug" });
    }
    await tx.organization.update({ where: { id: organizationId }, data: { deletedAt: now } });
    await enqueueClosing(tx, organizationId);
  });
}

// A job waits for whoever synchronizes the organization at the moment; else it is tried again later.
const LOCK_WAIT_MS = 10_000;

/**
 * Ends what a deleted organization has at Stripe: open checkouts are closed, subscriptions cancelled without paying anything
 * back. Again and again it changes nothing. @throws BillingError STRIPE_UNAVAILABLE, BUSY: it is to be called again
 */
export async function closeAtStripe(organizationId: string, now: Date): Promise<void> {
  const organization = await asPlatform((tx) =>
    tx.organization.findUnique({
      where: { id: organizationId },
      select: { deletedAt: true, stripeCustomerId: true },
    }),
  );
  if (!organization?.deletedAt) return;
  const { stripeCustomerId } = organization;
  await withSyncLock(organizationId, { waitMs: LOCK_WAIT_MS }, async (lock) => {
    const run = { lock, stripe: stripeForJobs(), now, cause: "organization deleted" };
    // First: one that is open could still be paid.
    for (const id of await listOpenSessions(organizationId)) {
      await expire(run.stripe, id);
      await syncCheckoutSession(run, id);
    }
    for (const id of await listSubscriptions(lock, run.stripe, stripeCustomerId)) {
      await cancel(run.stripe, id);
      await syncSubscription(run, id);
    }
  });
}

async function listOpenSessions(organizationId: string): Promise<string[]> {
  const rows = await asPlatform((tx) =>
    tx.checkoutSession.findMany({ where: { organizationId, status: "open" }, select: { stripeSessionId: true } }),
  );
  return rows.map(({ stripeSessionId }) => stripeSessionId);
}

/** Those that we know of and those that Stripe has, also the ones that wait for their first payment. */
async function listSubscriptions(
  { organizationId }: SyncLock,
  stripe: Stripe,
  customerId: string | null,
): Promise<Set<string>> {
  const rows = await asPlatform((tx) =>
    tx.organizationSubscription.findMany({
      where: { organizationId },
      select: { stripeSubscriptionId: true, status: true },
    }),
  );
  const ours = rows.filter(({ status }) => !isEnded(status)).map(({ stripeSubscriptionId }) => stripeSubscriptionId);
  const theirs = customerId
    ? await listIfThere((page) => stripe.subscriptions.list({ customer: customerId, ...page }))
    : [];
  return new Set([...ours, ...theirs.map(({ id }) => id)]);
}

/** A retry finds what is cancelled already as it is: only what is not is asked for. */
async function cancel(stripe: Stripe, subscriptionId: string): Promise<void> {
  const subscription = await findAtStripe("subscription", () => stripe.subscriptions.retrieve(subscriptionId));
  if (!subscription || subscription.status === "canceled" || subscription.status === "incomplete_expired") return;
  await callStripe(() => stripe.subscriptions.cancel(subscriptionId, { invoice_now: false, prorate: false }));
}

async function expire(stripe: Stripe, sessionId: string): Promise<void> {
  const session = await findAtStripe("checkout.session", () => stripe.checkout.sessions.retrieve(sessionId));
  if (session?.status === "open") await callStripe(() => stripe.checkout.sessions.expire(sessionId));
}
