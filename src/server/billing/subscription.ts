// An organization's subscription: what it is, and how it begins.
import type { Interval } from "~/domain/allowance";
import { overdueOf } from "~/domain/dunning";
import { BillingError, invariant } from "~/domain/errors";
import { DEFAULT_CURRENCY } from "~/domain/pricing";
import { isLive, LIVE_STATUSES, type SubscriptionStatus, statusFromStripe } from "~/domain/subscription";
import { asOrganization, asPlatform, type Transaction } from "../db";
import type { Stripe } from "../stripe";
import { type CardFacts, readSubscription } from "../stripe/facts";
import type { Action } from "./actions";
import { type Buyer, openCheckout } from "./checkout";
import { synchronize } from "./live-subscription";
import {
  type NextInvoice,
  type OpenInvoice,
  readNextInvoice,
  readOpenInvoice,
  readPendingChange,
  readScheduledChange,
} from "./subscription-row";

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
  /** Since when a payment is overdue; null while none is. */
  pastDueSince: Date | null;
  /** Until when credits can be spent all the same; null where nothing is overdue, and where the plan has no such limit. */
  graceUntil: Date | null;
  /** Whether spending has stopped because of it. */
  blocked: boolean;
  /** The invoice that waits to be paid, with its page. */
  openInvoice: OpenInvoice | null;
  /** When a pause ends by itself; null for one without an end, and where nothing is paused. */
  resumesAt: Date | null;
  /** The plan that it goes on with, and from when on; null while it stays as it is. */
  scheduledChange: (ChangedTo & { at: Date }) | null;
  /** The plan that it changes to once `openInvoice` is paid, and until when that is possible. */
  pendingChange: (ChangedTo & { expiresAt: Date; invoiceId: string | null }) | null;
}

export interface ChangedTo {
  planId: string;
  planKey: string;
  planName: string;
  interval: Interval;
}

/** The live subscription, else the one that ended last; null where there never was one. */
export function findSubscription(organizationId: string, now: Date): Promise<Subscription | null> {
  return asOrganization(organizationId, async (tx) => {
    const row =
      (await tx.organizationSubscription.findFirst({
        where: { organizationId, status: { in: [...LIVE_STATUSES] } },
      })) ??
      (await tx.organizationSubscription.findFirst({ where: { organizationId }, orderBy: { startedAt: "desc" } }));
    if (!row) return null;
    const scheduled = readScheduledChange(row.scheduledChange);
    const pending = readPendingChange(row.pendingChange);
    const priceIds = [row.priceId, scheduled?.priceId, pending?.priceId].filter((id) => id !== undefined);
    const prices = await tx.planPrice.findMany({ where: { id: { in: priceIds } }, include: { plan: true } });
    const priceOf = (id: string) => {
      const price = prices.find((candidate) => candidate.id === id);
      invariant(price, "a price that a subscription names is in the catalogue");
      return price;
    };
    const changedTo = (id: string): ChangedTo => {
      const { planId, plan, interval } = priceOf(id);
      return { planId, planKey: plan.key, planName: plan.name, interval };
    };
    const { plan, unitAmount, currency } = priceOf(row.priceId);
    const overdue = overdueOf({ ...row, graceDays: plan.graceDays });
    const account = overdue && (await tx.creditAccount.findUnique({ where: { organizationId } }));
    // As the ledger has it: the plan's days may have been edited since.
    const graceUntil = account?.blockedFrom ?? null;
    return {
      id: row.id,
      planId: row.planId,
      planKey: plan.key,
      planName: plan.name,
      status: row.status,
      interval: row.interval,
      currentPeriodStart: row.currentPeriodStart,
      currentPeriodEnd: row.currentPeriodEnd,
      trialEnd: row.trialEnd,
      cancelsAt: row.cancelsAt,
      startedAt: row.startedAt,
      credits: Number(plan.credits),
      creditInterval: plan.creditInterval,
      unitAmount: Number(unitAmount),
      currency,
      card: row.paymentMethod as CardFacts | null,
      nextInvoice: readNextInvoice(row.nextInvoice),
      pastDueSince: overdue?.since ?? null,
      graceUntil,
      blocked: graceUntil !== null && now >= graceUntil,
      openInvoice: readOpenInvoice(row.openInvoice),
      resumesAt: row.resumesAt,
      scheduledChange: scheduled && { ...changedTo(scheduled.priceId), at: scheduled.at },
      pendingChange: pending && {
        ...changedTo(pending.priceId),
        expiresAt: pending.expiresAt,
        invoiceId: pending.invoiceId,
      },
    };
  });
}

/**
 * Opens the checkout of a plan, with its trial where the organization had none.
 * @param choice.currency null for the one that the customer pays in, or the default
 * @throws BillingError PLAN_NOT_AVAILABLE, ALREADY_SUBSCRIBED, WRONG_CURRENCY `{ currency }`, STRIPE_UNAVAILABLE
 */
export function openSubscriptionCheckout(
  buyer: Buyer,
  choice: { planId: string; interval: Interval; currency: string | null },
): Promise<{ url: string }> {
  return openCheckout(buyer, async (action, customer) => {
    const { organization, organizationId } = action;
    await requireNone(action, customer);
    const currency = choice.currency ?? customer?.currency ?? DEFAULT_CURRENCY;
    const price = await findPrice({ ...choice, currency });
    if (customer?.currency && customer.currency !== currency) {
      const message = `This organization pays in ${customer.currency.toUpperCase()}; Stripe allows one currency for a customer.`;
      throw new BillingError("WRONG_CURRENCY", message, { currency: customer.currency });
    }
    const trial = price.trialDays > 0 && organization.trialUsedAt === null ? price.trialDays : null;
    const metadata = { organizationId, kind: "subscription" };
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

/** @throws BillingError ALREADY_SUBSCRIBED, also where Stripe knows of a subscription that we have not heard of yet */
async function requireNone(action: Action, customer: Stripe.Customer | null): Promise<void> {
  const { organizationId } = action;
  for (const subscription of customer?.subscriptions?.data ?? []) {
    const status = statusFromStripe(readSubscription(subscription));
    if (status === null || !isLive(status)) continue;
    const known = await asOrganization(organizationId, (tx) => findLive(tx, organizationId));
    if (known?.stripeSubscriptionId !== subscription.id) await synchronize(action, subscription.id);
  }
  const live = await asOrganization(organizationId, (tx) => findLive(tx, organizationId));
  if (!live) return;
  throw new BillingError("ALREADY_SUBSCRIBED", "This organization has a subscription. Change its plan instead.", {
    subscriptionId: live.id,
  });
}

async function findPrice(choice: { planId: string; interval: Interval; currency: string }) {
  const { planId, interval, currency } = choice;
  const row = await asPlatform((tx) =>
    tx.planPrice.findFirst({
      where: { planId, interval, currency, active: true, plan: { active: true, isPublic: true } },
      include: { plan: { select: { trialDays: true } } },
    }),
  );
  if (!row?.stripePriceId) {
    throw new BillingError("PLAN_NOT_AVAILABLE", "This plan is not for sale in this interval and currency.", {
      planId,
      interval,
      currency,
    });
  }
  return { id: row.id, stripePriceId: row.stripePriceId, trialDays: row.plan.trialDays };
}

function findLive(tx: Transaction, organizationId: string) {
  return tx.organizationSubscription.findFirst({
    where: { organizationId, status: { in: [...LIVE_STATUSES] } },
    select: { id: true, stripeSubscriptionId: true },
  });
}
