// What happens to a subscription when time passes or an invoice is paid or not. It moves no money.
import type { Invoice, PaymentMethod, Subscription } from "../types";
import type { World } from "../world";

type CancellationDetails = NonNullable<Subscription["cancellation_details"]>;

const LIVE = new Set<string>(["trialing", "active", "past_due", "unpaid", "paused", "incomplete"]);
const MOVING = new Set<string>(["trialing", "active", "past_due", "unpaid"]);

export function isLive(subscription: Subscription): boolean {
  return LIVE.has(subscription.status);
}

/** The end of the period that ends first. Items may have periods of their own. */
export function firstPeriodEnd(subscription: Subscription): number {
  return Math.min(...subscription.items.data.map((item) => item.current_period_end));
}

export function lastPeriodEnd(subscription: Subscription): number {
  return Math.max(...subscription.items.data.map((item) => item.current_period_end));
}

/** What pays for the subscription: its own payment method, or its customer's. */
export function paymentMethodOf(world: World, subscription: Subscription): PaymentMethod | null {
  const id =
    subscription.default_payment_method ??
    world.customers.get(subscription.customer)?.invoice_settings.default_payment_method;
  return (id && world.paymentMethods.get(id)) || null;
}

/** Plans the next thing that time brings: renewal, end of trial, or the agreed end. */
export function planAdvance(world: World, subscription: Subscription): void {
  const ends = subscription.cancel_at ?? Number.POSITIVE_INFINITY;
  const at = MOVING.has(subscription.status) ? Math.min(firstPeriodEnd(subscription), ends) : null;
  const paused = subscription.status === "paused" && subscription.cancel_at ? subscription.cancel_at : null;
  world.scheduler.plan("subscription.advance", subscription.id, at ?? paused, subscription.test_clock);
}

/** Changes a subscription, tells of it and plans what follows. */
export function changeSubscription(
  world: World,
  id: string,
  changes: Partial<Subscription>,
  event:
    | "customer.subscription.updated"
    | "customer.subscription.paused"
    | "customer.subscription.resumed" = "customer.subscription.updated",
): Subscription {
  const changed = world.change(world.subscriptions, id, changes, event);
  planAdvance(world, changed);
  return changed;
}

/** Ends a subscription for good. Its unpaid invoices stay, but nobody collects them any more. */
export function endSubscription(
  world: World,
  id: string,
  details: Partial<CancellationDetails>,
  status: "canceled" | "incomplete_expired" = "canceled",
): Subscription {
  const subscription = world.subscriptions.get(id);
  if (!subscription) throw new Error(`subscription ${id} is gone`);
  world.scheduler.forget(id);
  for (const invoice of world.invoices.by("subscription", id)) {
    if (invoice.status !== "draft" && invoice.status !== "open") continue;
    world.scheduler.forget(invoice.id);
    world.invoices.patch(invoice.id, { auto_advance: false, next_payment_attempt: null });
  }
  const now = world.now();
  const before = world.events.snapshot(subscription);
  const ended = world.subscriptions.patch(id, {
    status,
    ended_at: now,
    canceled_at: subscription.canceled_at ?? now,
    cancellation_details: {
      comment: null,
      feedback: null,
      feedback_option: null,
      reason: null,
      ...subscription.cancellation_details,
      ...details,
    },
  });
  if (status === "canceled") world.events.emit("customer.subscription.deleted", ended);
  else world.events.emit("customer.subscription.updated", ended, before);
  return ended;
}

/** A paid invoice brings its subscription (back) to life. */
export function onInvoicePaid(world: World, invoice: Invoice): void {
  const id = invoice.parent?.subscription_details?.subscription;
  const subscription = id ? world.subscriptions.get(id) : undefined;
  if (!subscription) return;
  if (subscription.status === "incomplete") {
    world.scheduler.plan("subscription.expire", subscription.id, null, subscription.test_clock);
    const trialing = subscription.trial_end !== null && subscription.trial_end > world.now();
    changeSubscription(world, subscription.id, { status: trialing ? "trialing" : "active" });
  } else if (subscription.status === "paused" && subscription.latest_invoice === invoice.id) {
    changeSubscription(world, subscription.id, { status: "active" }, "customer.subscription.resumed");
  } else if (subscription.status === "past_due" || subscription.status === "unpaid") {
    // Stripe looks at the latest invoice only: an older one that is paid changes nothing.
    if (subscription.latest_invoice === invoice.id) changeSubscription(world, subscription.id, { status: "active" });
  }
}

/** An unpaid invoice: the first one leaves the subscription incomplete, a later one past due. */
export function onInvoiceFailed(world: World, invoice: Invoice, retriesLeft: boolean): void {
  const id = invoice.parent?.subscription_details?.subscription;
  const subscription = id ? world.subscriptions.get(id) : undefined;
  if (!subscription || !isLive(subscription) || subscription.status === "incomplete") return;
  if (subscription.status === "active" || subscription.status === "trialing") {
    changeSubscription(world, subscription.id, { status: "past_due" });
  }
  if (!retriesLeft) endSubscription(world, subscription.id, { reason: "payment_failed" });
}
