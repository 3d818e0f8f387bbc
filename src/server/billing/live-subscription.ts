// The subscription that an action is about, as Stripe has it at this moment, and what its state allows.
import type { Interval } from "~/domain/allowance";
import { BillingError } from "~/domain/errors";
import { isLive, LIVE_STATUSES, type SubscriptionStatus, statusFromStripe } from "~/domain/subscription";
import { asOrganization } from "../db";
import { expectObject, findAtStripe, idOf, type Stripe, toDate, toDateOrNull } from "../stripe";
import { readSubscription, SUBSCRIPTION_EXPAND } from "../stripe/facts";
import type { Action } from "./actions";
import { type CataloguePlan, findPlansByStripePrice } from "./catalogue";
import { syncSubscription } from "./sync";

const EXPAND = [...SUBSCRIPTION_EXPAND, "latest_invoice"];

export interface LiveSubscription {
  /** Ours. */
  id: string;
  stripe: Stripe.Subscription;
  status: SubscriptionStatus;
  /** The item that is the plan; others are seats, add-ons and the like. */
  item: Stripe.SubscriptionItem;
  plan: CataloguePlan;
  currentPeriodStart: Date;
  currentPeriodEnd: Date;
  trialEnd: Date | null;
}

/**
 * The organization's live subscription, read from Stripe under the lock.
 * @throws BillingError NO_SUBSCRIPTION, STRIPE_UNAVAILABLE
 */
export async function requireLive(action: Action): Promise<LiveSubscription> {
  const { organizationId, stripe } = action;
  const row = await asOrganization(organizationId, (tx) =>
    tx.organizationSubscription.findFirst({
      where: { organizationId, status: { in: [...LIVE_STATUSES] } },
      select: { id: true, stripeSubscriptionId: true, status: true },
    }),
  );
  if (!row) throw noSubscription();
  const fresh = await findAtStripe("subscription", () =>
    stripe.subscriptions.retrieve(row.stripeSubscriptionId, { expand: EXPAND }),
  );
  const status = fresh ? (statusFromStripe(readSubscription(fresh)) ?? row.status) : null;
  if (!fresh || status === null || !isLive(status)) {
    // It has ended, and we have not heard of it yet.
    await synchronize(action, row.stripeSubscriptionId);
    throw noSubscription();
  }
  return describe(row.id, fresh, status);
}

async function describe(
  id: string,
  stripe: Stripe.Subscription,
  status: SubscriptionStatus,
): Promise<LiveSubscription> {
  const plans = await findPlansByStripePrice(stripe.items.data.map((item) => item.price.id));
  const item = stripe.items.data.find((candidate) => plans.has(candidate.price.id));
  const plan = item && plans.get(item.price.id);
  if (!item || !plan) throw noSubscription();
  return {
    id,
    stripe,
    status,
    item,
    plan,
    currentPeriodStart: toDate(item.current_period_start),
    currentPeriodEnd: toDate(item.current_period_end),
    trialEnd: toDateOrNull(stripe.trial_end),
  };
}

/** The same subscription, read again. */
export async function readAgain(action: Action, subscriptionId: string): Promise<Stripe.Subscription> {
  const fresh = await findAtStripe("subscription", () =>
    action.stripe.subscriptions.retrieve(subscriptionId, { expand: EXPAND }),
  );
  if (!fresh) throw noSubscription();
  return fresh;
}

/** Changes a subscription, so that the change is there once. */
export function update(
  action: Action,
  before: Stripe.Subscription,
  change: {
    name: string;
    params: Stripe.SubscriptionUpdateParams;
    isDone: (subscription: Stripe.Subscription) => boolean;
  },
): Promise<Stripe.Subscription> {
  const { name, params, isDone } = change;
  return action.bringAbout(before, {
    name,
    about: (state) => ({ params, state: fingerprintOf(state) }),
    isDone,
    send: async (stripe, options) =>
      expectObject(
        "subscription",
        await stripe.subscriptions.update(before.id, { ...params, expand: EXPAND }, options),
      ),
    read: () => readAgain(action, before.id),
  });
}

/** What of a subscription's state makes a change of it mean something else. */
export function fingerprintOf(subscription: Stripe.Subscription): Record<string, unknown> {
  return {
    id: subscription.id,
    status: subscription.status,
    items: subscription.items.data.map((item) => [
      item.id,
      item.price.id,
      item.quantity ?? null,
      item.current_period_start,
      item.current_period_end,
    ]),
    trialEnd: subscription.trial_end,
    cancelAt: subscription.cancel_at,
    cancelAtPeriodEnd: subscription.cancel_at_period_end,
    pause: subscription.pause_collection?.resumes_at ?? subscription.pause_collection?.behavior ?? null,
    pending: subscription.pending_update?.expires_at ?? null,
    discounts: subscription.discounts.map(idOf),
  };
}

/** Makes our rows equal to Stripe's, so that what is read next is true. */
export async function synchronize(action: Action, subscriptionId: string): Promise<void> {
  const { lock, stripe, now, doer } = action;
  await syncSubscription({ lock, stripe, now, cause: `action of ${doer.actor}` }, subscriptionId);
}

/** The invoice that a change waits for; null where none does. */
export function pendingInvoiceOf({ pending_update, latest_invoice }: Stripe.Subscription): Stripe.Invoice | null {
  if (!pending_update || !latest_invoice || typeof latest_invoice === "string") return null;
  return latest_invoice.status === "open" ? latest_invoice : null;
}

/** @throws BillingError PAYMENT_OVERDUE, WRONG_STATE */
export function requireSettled({ status, stripe }: LiveSubscription): void {
  if (status !== "past_due") return;
  const invoice = stripe.latest_invoice;
  const open = invoice && typeof invoice !== "string" ? invoice : null;
  throw new BillingError("PAYMENT_OVERDUE", "The last payment failed. Pay the open invoice first.", {
    invoiceId: open?.id ?? null,
    invoiceUrl: open?.hosted_invoice_url ?? null,
  });
}

/**
 * For a change that charges at once: Stripe credits the time of the plan of before, also where its payment has not come yet.
 * @throws BillingError WRONG_STATE while the invoice of that time is being made, or a bank decides about it
 */
export function requireCollected({ status, stripe }: LiveSubscription): void {
  const invoice = stripe.latest_invoice;
  if (!invoice || typeof invoice === "string" || stripe.pending_update !== null) return;
  if (invoice.status !== "open" && invoice.status !== "draft") return;
  const message = "The last payment is still on its way. Change the plan once it has arrived.";
  throw new BillingError("WRONG_STATE", message, { status, invoiceId: invoice.id });
}

/** When it ends by itself; null while it renews. */
export function endOf({ stripe, currentPeriodEnd }: LiveSubscription): Date | null {
  if (stripe.cancel_at !== null) return toDate(stripe.cancel_at);
  return stripe.cancel_at_period_end ? currentPeriodEnd : null;
}

/** @throws BillingError WRONG_STATE where it ends by itself */
export function requireRenewing(live: LiveSubscription): void {
  const endsAt = endOf(live);
  if (endsAt === null) return;
  throw new BillingError("WRONG_STATE", "The subscription has been cancelled. Undo the cancellation first.", {
    status: live.status,
    cancelsAt: endsAt,
  });
}

/** @throws BillingError WRONG_STATE where it is paused */
export function requireRunning(live: LiveSubscription): void {
  if (live.status !== "paused") return;
  throw new BillingError("WRONG_STATE", "The subscription is paused. Resume it first.", { status: live.status });
}

export interface Choice {
  planId: string;
  interval: Interval;
}

export function noSubscription(): BillingError {
  return new BillingError("NO_SUBSCRIPTION", "This organization has no subscription. Choose a plan first.", {});
}
