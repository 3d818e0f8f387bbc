// Other subscriptions of the same organization: only one is live at a time, the one that began first.
import { LIVE_STATUSES } from "~/domain/subscription";
import { asPlatform, type Transaction } from "../../db";
import { type Stripe, toDate } from "../../stripe";
import { listIfThere } from "../../stripe/lists";

/** Another subscription of the organization that we hold to be live. */
export function findRival(tx: Transaction, organizationId: string, subscriptionId: string) {
  return tx.organizationSubscription.findFirst({
    where: { organizationId, status: { in: [...LIVE_STATUSES] }, stripeSubscriptionId: { not: subscriptionId } },
    select: { stripeSubscriptionId: true },
  });
}

/**
 * Whether a subscription that has ended was second for all of its life: an older one of the organization, which was live beside it,
 * ended later or has not ended. It was never used, so it gives nothing afterwards either.
 */
export async function wasAlwaysSecond(
  tx: Transaction,
  organizationId: string,
  { id, startedAt, endedAt }: { id: string; startedAt: Date; endedAt: Date | null },
): Promise<boolean> {
  const elders = await tx.organizationSubscription.count({
    where: {
      organizationId,
      stripeSubscriptionId: { not: id },
      status: { not: "pending" },
      stripeStatus: { not: "incomplete_expired" },
      // One that began in the second in which this one ended, or ended in that in which it began, was not beside it.
      startedAt: { lte: startedAt, ...(endedAt && { lt: endedAt }) },
      OR: [
        { endedAt: null, status: { in: [...LIVE_STATUSES] } },
        ...(endedAt ? [{ endedAt: { gte: endedAt, gt: startedAt } }] : []),
      ],
    },
  });
  return elders > 0;
}

export interface Rival {
  id: string;
  createdAt: Date;
}

const LIVE_AT_STRIPE = new Set(["trialing", "active", "past_due", "paused"]);

export const isLiveAtStripe = (status: string): boolean => LIVE_AT_STRIPE.has(status);

/** A customer's live subscriptions at Stripe, oldest first. */
export async function listLiveAtStripe(stripe: Stripe, customerId: string): Promise<Rival[]> {
  const subscriptions = await listIfThere((page) => stripe.subscriptions.list({ customer: customerId, ...page }));
  return subscriptions
    .filter(({ status }) => isLiveAtStripe(status))
    .map(({ id, created }) => ({ id, createdAt: toDate(created) }))
    .sort(byAge);
}

/** Two of one second are told apart by their ids, so that everybody sees the same one as the older. */
export function byAge(a: Rival, b: Rival): number {
  return a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1);
}

/** The customer of an organization; null where it has none. */
export async function findCustomer(organizationId: string): Promise<string | null> {
  const organization = await asPlatform((tx) =>
    tx.organization.findUnique({ where: { id: organizationId }, select: { stripeCustomerId: true } }),
  );
  return organization?.stripeCustomerId ?? null;
}
