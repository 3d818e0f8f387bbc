// What time brings to a subscription: the end of its trial, the next period, its agreed end.
import type { InvoiceLine, Subscription, SubscriptionItem } from "../types";
import type { World } from "../world";
import { createInvoice } from "./invoice-draft";
import { type Period, periodEnd } from "./period";
import { isCollected } from "./subscription-dunning";
import { chargeFor, forgetCredits, settleWaiting, takeWaiting } from "./subscription-ledger";
import { closeUncollected } from "./subscription-pause";
import { changeSubscription, endSubscription, paymentMethodOf, planAdvance } from "./subscription-state";

export function current(world: World, id: string): Subscription {
  const subscription = world.subscriptions.get(id);
  if (!subscription) throw new Error(`subscription ${id} is gone`);
  return subscription;
}

/** The due moment of a subscription: its agreed end, the end of its trial, or a renewal. */
export function advanceSubscription(world: World, id: string): void {
  const subscription = world.subscriptions.get(id);
  if (!subscription) return;
  const now = world.now();
  if (subscription.cancel_at !== null && subscription.cancel_at <= now) {
    reachEnd(world, subscription);
  } else if (subscription.status === "trialing") {
    endTrial(world, subscription);
  } else {
    renew(world, subscription, {});
  }
}

/** The agreed end has come. Prorations that still wait are collected with a last invoice. */
function reachEnd(world: World, subscription: Subscription): void {
  const { id } = subscription;
  const reason = subscription.cancellation_details?.reason ?? "cancellation_requested";
  const waiting = takeWaiting(world, id);
  endSubscription(world, id, { reason });
  if (waiting.length > 0) {
    const now = world.now();
    const due = now + world.options.draftSeconds;
    const last = invoiceFor(world, subscription, waiting, waiting, { start: now, end: now }, due);
    world.subscriptions.patch(id, { latest_invoice: last.id });
  }
}

/** An invoice of a period, with the prorations among its lines taken off the list of what waits. */
function invoiceFor(
  world: World,
  subscription: Subscription,
  waiting: InvoiceLine[],
  lines: InvoiceLine[],
  period: Period,
  finalizeAt: number | null,
) {
  const invoice = createInvoice(
    world,
    {
      customer: subscription.customer,
      currency: subscription.currency,
      billingReason: "subscription_cycle",
      subscription,
      lines,
      periodStart: period.start,
      periodEnd: period.end,
      autoAdvance: finalizeAt !== null,
    },
    finalizeAt,
  );
  settleWaiting(world, waiting, invoice.id);
  return invoice;
}

/** The trial is over: the first paid period, or what was agreed for a missing payment method. */
export function endTrial(world: World, subscription: Subscription): void {
  const missing = !paymentMethodOf(world, subscription);
  const behavior = subscription.trial_settings?.end_behavior.missing_payment_method ?? "create_invoice";
  world.scheduler.plan("subscription.trial_will_end", subscription.id, null, subscription.test_clock);
  if (missing && behavior === "cancel") {
    endSubscription(world, subscription.id, { reason: null });
  } else if (missing && behavior === "pause") {
    const paused = world.subscriptions.patch(subscription.id, {
      status: "paused",
      status_details: {
        paused: {
          subscription: { type: "trial_end_without_payment_method" },
          transitioned_at: world.now(),
          type: "subscription",
        },
      },
    });
    world.events.emit("customer.subscription.paused", paused);
    planAdvance(world, paused);
  } else {
    renew(world, subscription, { status: "active" });
  }
}

export interface Renewal {
  items: SubscriptionItem[];
  lines: InvoiceLine[];
  /** The period that is over. */
  over: Period;
}

/** The next period of every item whose period is over at an instant, and what it costs. Writes nothing. */
export function planRenewal(world: World, subscription: Subscription, at: number): Renewal {
  const lines: InvoiceLine[] = [];
  const due = subscription.items.data.filter((item) => item.current_period_end <= at);
  const items = subscription.items.data.map((item) => {
    if (!due.includes(item)) return item;
    const start = item.current_period_end;
    const end = periodEnd(subscription.billing_cycle_anchor, item.price.recurring, start);
    // An end inside the new period makes it a part of one, whatever was asked about prorations.
    const period = { start, end: Math.min(end, subscription.cancel_at ?? end) };
    const next = { ...item, current_period_start: period.start, current_period_end: period.end };
    lines.push(chargeFor(world, subscription, next, period));
    return next;
  });
  const over = { start: due[0]?.current_period_start ?? at, end: due[0]?.current_period_end ?? at };
  return { items, lines, over };
}

/** Starts the next period of every item whose period is over, with an invoice for it. */
export function renew(world: World, subscription: Subscription, changes: Partial<Subscription>): void {
  const { id } = subscription;
  const now = world.now();
  const next = { ...subscription, ...changes };
  const { items, lines, over } = planRenewal(world, next, now);
  const waiting = takeWaiting(world, id);
  const finalizeAt = isCollected(subscription) ? now + world.options.draftSeconds : null;
  const invoice = invoiceFor(world, next, waiting, [...waiting, ...lines], over, finalizeAt);
  forgetCredits(world, id, now);
  changeSubscription(world, id, {
    ...changes,
    items: { ...next.items, data: items },
    latest_invoice: invoice.id,
  });
  closeUncollected(world, subscription, invoice.id);
}
