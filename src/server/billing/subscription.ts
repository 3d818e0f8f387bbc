// An organization's subscription: what it is, how it begins, and the way to Stripe's portal.
import type { Interval } from "~/domain/allowance";
import { BillingError } from "~/domain/errors";
import { LIVE_STATUSES, type SubscriptionStatus } from "~/domain/subscription";
import { asOrganization, asPlatform, type Transaction } from "../db";
import { publicUrl } from "../env";
import { callStripe, expectObject, stripeForPages } from "../stripe";
import type { CardFacts } from "../stripe/facts";
import { type Buyer, openCheckout } from "./checkout";

export interface Subscription {
  id: string;
  planId: string;
  planKey: string;
  planName: string;
  status: SubscriptionStatus;
  interval: Interval;
  currentPeriodStart: Date;
  currentPeriodEnd: Date;
  trialEnd: Date | null;
  /** When it ends by itself; null while it renews. */
  cancelsAt: Date | null;
  startedAt: Date;
  /** Credits of each `creditInterval`. */
  credits: number;
  creditInterval: Interval;
  unitAmount: number;
  currency: string;
  card: CardFacts | null;
  nextInvoice: NextInvoice | null;
}

export interface NextInvoice {
  at: Date;
  /** Minor units, tax included. */
  amount: number;
  tax: number;
  currency: string;
}

/** The live subscription, else the one that ended last; null where there never was one. */
export function findSubscription(organizationId: string): Promise<Subscription | null> {
  return asOrganization(organizationId, async (tx) => {
    const row =
      (await tx.organizationSubscription.findFirst({
        where: { organizationId, status: { in: [...LIVE_STATUSES] } },
      })) ??
      (await tx.organizationSubscription.findFirst({ where: { organizationId }, orderBy: { startedAt: "desc" } }));
    if (!row) return null;
    const price = await tx.planPrice.findUniqueOrThrow({ where: { id: row.priceId }, include: { plan: true } });
    return {
      id: row.id,
      planId: row.planId,
      planKey: price.plan.key,
      planName: price.plan.name,
      status: row.status,
      interval: row.interval,
      currentPeriodStart: row.currentPeriodStart,
      currentPeriodEnd: row.currentPeriodEnd,
      trialEnd: row.trialEnd,
      cancelsAt: row.cancelsAt,
      startedAt: row.startedAt,
      credits: Number(price.plan.credits),
      creditInterval: price.plan.creditInterval,
      unitAmount: Number(price.unitAmount),
      currency: price.currency,
      card: row.paymentMethod as CardFacts | null,
      nextInvoice: readNextInvoice(row.nextInvoice),
    };
  });
}

function readNextInvoice(stored: unknown): NextInvoice | null {
  if (stored === null) return null;
  const { at, ...rest } = stored as Omit<NextInvoice, "at"> & { at: string };
  return { ...rest, at: new Date(at) };
}

/**
 * Opens the checkout of a plan, with its trial where the organization had none.
 * @throws BillingError PLAN_NOT_AVAILABLE, ALREADY_SUBSCRIBED, STRIPE_UNAVAILABLE
 */
export async function openSubscriptionCheckout(
  buyer: Buyer,
  choice: { planId: string; interval: Interval; currency: string },
): Promise<{ url: string }> {
  const price = await findPrice(choice);
  return openCheckout(buyer, async (organization) => {
    const live = await asOrganization(buyer.organizationId, (tx) => findLive(tx, buyer.organizationId));
    if (live) {
      throw new BillingError("ALREADY_SUBSCRIBED", "This organization has a subscription. Change its plan instead.", {
        subscriptionId: live.id,
      });
    }
    const trial = price.trialDays > 0 && organization.trialUsedAt === null ? price.trialDays : null;
    const metadata = { organizationId: buyer.organizationId, kind: "subscription" };
    return {
      kind: "subscription",
      planPriceId: price.id,
      stripePriceId: price.stripePriceId,
      ...(trial === null ? {} : { trialDays: trial }),
      cancelPath: "/plans",
      params: {
        mode: "subscription",
        subscription_data: { metadata, ...(trial === null ? {} : { trial_period_days: trial }) },
      },
    };
  });
}

async function findPrice(choice: { planId: string; interval: Interval; currency: string }) {
  const row = await asPlatform((tx) =>
    tx.planPrice.findFirst({
      where: { ...choice, active: true, plan: { active: true, isPublic: true } },
      include: { plan: { select: { trialDays: true } } },
    }),
  );
  if (!row?.stripePriceId) {
    throw new BillingError("PLAN_NOT_AVAILABLE", "This plan is not for sale in this interval and currency.", {
      ...choice,
    });
  }
  return { id: row.id, stripePriceId: row.stripePriceId, trialDays: row.plan.trialDays };
}

function findLive(tx: Transaction, organizationId: string) {
  return tx.organizationSubscription.findFirst({
    where: { organizationId, status: { in: [...LIVE_STATUSES] } },
    select: { id: true },
  });
}

/**
 * A link into Stripe's portal: invoices, card, cancellation.
 * @throws BillingError NO_BILLING_ACCOUNT before the first checkout, STRIPE_UNAVAILABLE
 */
export async function openPortal(organizationId: string): Promise<{ url: string }> {
  const organization = await asOrganization(organizationId, (tx) =>
    tx.organization.findFirst({ where: { id: organizationId, deletedAt: null } }),
  );
  if (!organization) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
  const customer = organization.stripeCustomerId;
  if (!customer) {
    throw new BillingError("NO_BILLING_ACCOUNT", "There is nothing to manage yet: subscribe or buy credits first.", {});
  }
  const session = await callStripe(async () =>
    expectObject(
      "billing_portal.session",
      await stripeForPages().billingPortal.sessions.create({
        customer,
        return_url: publicUrl(`/${organization.slug}/billing`),
      }),
    ),
  );
  return { url: session.url };
}
