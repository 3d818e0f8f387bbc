// What happens to a subscription when time passes or an invoice is paid or not. It moves no money.
import type { Invoice, PaymentMethod, Subscription } from "../types";
import type { World } from "../world";
import { dunningOf } from "./subscription-dunning";
import { markCredited, sequelOf, setSequel } from "./subscription-ledger";

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
  setSequel(world, id, null);
  const now = world.now();
  const before = world.events.snapshot(subscription);
  const ended = world.subscriptions.patch(id, {
    status,
    pending_update: null,
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
  if (subscription.schedule) stopSchedule(world, subscription.schedule, ended);
  return ended;
}

/** A schedule ends with its subscription: canceled, or aborted where that happened because nobody paid. */
function stopSchedule(world: World, id: string, ended: Subscription): void {
  const schedule = world.schedules.get(id);
  if (!schedule || (schedule.status !== "active" && schedule.status !== "not_started")) return;
  world.scheduler.forget(id);
  const stopped = world.schedules.patch(id, { status: "canceled", canceled_at: world.now(), current_phase: null });
  const delinquent = ended.cancellation_details?.reason === "payment_failed";
  world.events.emit(delinquent ? "subscription_schedule.aborted" : "subscription_schedule.canceled", stopped);
}

/** Does what was waiting for an invoice. What was paid meanwhile with it takes effect at once. */
function applySequel(world: World, subscription: Subscription, changes: Partial<Subscription>): void {
  const { id, pending_update: pending } = subscription;
  const sequel = sequelOf(world, id);
  if (!sequel) return;
  setSequel(world, id, null);
  world.scheduler.plan("subscription.update_expire", id, null, subscription.test_clock);
  world.scheduler.plan("subscription.resume_expire", id, null, subscription.test_clock);
  markCredited(world, id, sequel.credited);
  if (sequel.kind === "resume") {
    resumeWith(world, id, { ...sequel.changes, ...changes });
    return;
  }
  const after = changeSubscription(world, id, { ...sequel.changes, ...changes, pending_update: null });
  if (pending) world.events.emit("customer.subscription.pending_update_applied", after);
}

/** Ends a pause: the reason of it is gone. */
export function resumeWith(world: World, id: string, changes: Partial<Subscription>): Subscription {
  const subscription = world.subscriptions.get(id);
  if (!subscription) throw new Error(`subscription ${id} is gone`);
  const before = world.events.snapshot(subscription);
  const { status_details: _, ...rest } = subscription;
  const resumed = world.subscriptions.put({ ...rest, status: "active", ...changes });
  planAdvance(world, resumed);
  world.events.emit("customer.subscription.updated", resumed, before);
  world.events.emit("customer.subscription.resumed", resumed);
  return resumed;
}

function subscriptionOf(world: World, invoice: Invoice): Subscription | undefined {
  const id = invoice.parent?.subscription_details?.subscription;
  return id ? world.subscriptions.get(id) : undefined;
}

function awaits(world: World, subscription: Subscription, invoice: Invoice): boolean {
  return sequelOf(world, subscription.id)?.invoice === invoice.id;
}

/** A paid invoice brings its subscription (back) to life, or does what was waiting for it. */
export function onInvoicePaid(world: World, invoice: Invoice): void {
  const subscription = subscriptionOf(world, invoice);
  if (!subscription || !isLive(subscription)) return;
  if (awaits(world, subscription, invoice)) applySequel(world, subscription, {});
  else if (subscription.status === "incomplete") {
    world.scheduler.plan("subscription.expire", subscription.id, null, subscription.test_clock);
    const trialing = subscription.trial_end !== null && subscription.trial_end > world.now();
    changeSubscription(world, subscription.id, { status: trialing ? "trialing" : "active" });
  } else if (subscription.status === "past_due" || subscription.status === "unpaid") {
    // Stripe looks at the latest invoice only: an older one that is paid changes nothing.
    if (subscription.latest_invoice === invoice.id) changeSubscription(world, subscription.id, { status: "active" });
  }
}

/** An invoice that nobody will pay: a subscription that waited for it to go on does so without, and its latest is overdue no more. */
export function onInvoiceUncollectible(world: World, invoice: Invoice): void {
  const subscription = subscriptionOf(world, invoice);
  if (!subscription) return;
  const { id, status, latest_invoice: latest } = subscription;
  if (awaits(world, subscription, invoice)) {
    if (sequelOf(world, id)?.kind === "resume") applySequel(world, subscription, {});
  } else if (status === "past_due" && latest === invoice.id) changeSubscription(world, id, { status: "active" });
}

/** A void invoice takes with it what was waiting for it. */
export function onInvoiceVoided(world: World, invoice: Invoice): void {
  const subscription = subscriptionOf(world, invoice);
  if (!subscription) return;
  const { id } = subscription;
  if (awaits(world, subscription, invoice)) {
    setSequel(world, id, null);
    world.scheduler.plan("subscription.update_expire", id, null, subscription.test_clock);
    world.scheduler.plan("subscription.resume_expire", id, null, subscription.test_clock);
    if (subscription.pending_update) changeSubscription(world, id, { pending_update: null });
  } else if (subscription.status === "past_due" && subscription.latest_invoice === invoice.id) {
    changeSubscription(world, id, { status: "active" });
  }
}

/** An unpaid invoice: the first one leaves the subscription incomplete, a later one past due. */
export function onInvoiceFailed(world: World, invoice: Invoice, retriesLeft: boolean): void {
  const subscription = subscriptionOf(world, invoice);
  if (!subscription || !isLive(subscription) || subscription.status === "incomplete") return;
  const { id, status } = subscription;
  if (awaits(world, subscription, invoice)) {
    const sequel = sequelOf(world, id);
    if (sequel?.kind === "resume" && sequel.onAttempt) applySequel(world, subscription, { status: "past_due" });
    return;
  }
  if (status === "active" || status === "trialing") changeSubscription(world, id, { status: "past_due" });
  if (retriesLeft) return;
  const { afterLastRetry } = dunningOf(world);
  if (afterLastRetry === "cancel") endSubscription(world, id, { reason: "payment_failed" });
  else if (afterLastRetry === "unpaid") changeSubscription(world, id, { status: "unpaid" });
}

/** A payment is charged back: its subscription ends, if the account is set so. */
export function onPaymentDisputed(world: World, paymentIntent: string | null): void {
  if (!paymentIntent || !dunningOf(world).cancelDisputed) return;
  for (const { invoice: id } of world.invoicePayments.by("payment_intent", paymentIntent)) {
    const invoice = world.invoices.get(id);
    const subscription = invoice && subscriptionOf(world, invoice);
    if (subscription && isLive(subscription)) endSubscription(world, subscription.id, { reason: "payment_disputed" });
  }
}
