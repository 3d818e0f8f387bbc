// Does what subscription-update.ts plans: prorations wait for the next invoice, or are invoiced and collected now.
import { invalidRequest } from "../errors";
import type { InvoiceLine, Subscription } from "../types";
import type { World } from "../world";
import { createInvoice } from "./invoice-draft";
import { attemptPayment, declined, finalizeInvoice, getInvoice, type PayOutcome, voidInvoice } from "./invoicing";
import {
  addWaiting,
  type Credit,
  creditFrom,
  dropWaiting,
  markCredited,
  sequelOf,
  setSequel,
  settleWaiting,
  takeWaiting,
} from "./subscription-ledger";
import { closeUncollected } from "./subscription-pause";
import { current, endTrial } from "./subscription-renewal";
import { changeSubscription, endSubscription, firstPeriodEnd, paymentMethodOf } from "./subscription-state";
import { type Change, type Plan, planChange } from "./subscription-update";

const PENDING_LIFE_SECONDS = 23 * 60 * 60;

export type PaymentBehavior =
  | "allow_incomplete"
  | "default_incomplete"
  | "error_if_incomplete"
  | "pending_if_incomplete";

/** The refusal where a payment was needed that did not come; what was written before it is undone. */
export function incomplete(outcome: PayOutcome | null): Error {
  if (outcome?.kind === "failed") return Object.assign(declined(outcome.failure), { keepsWrites: false });
  if (outcome?.kind === "requires_action") {
    const failure = {
      code: "subscription_payment_intent_requires_action",
      message: "Payment for this subscription requires additional user action before it can be completed successfully.",
    };
    return Object.assign(declined(failure), { keepsWrites: false });
  }
  return invalidRequest(
    "This customer has no attached payment source or default payment method. Please consider adding a default payment method.",
    undefined,
    "resource_missing",
  );
}

/** An invoice for a change, not finalized yet. */
function draftFor(world: World, subscription: Subscription, lines: InvoiceLine[]) {
  const now = world.now();
  return createInvoice(world, {
    customer: subscription.customer,
    currency: subscription.currency,
    billingReason: "subscription_update",
    subscription,
    lines,
    periodStart: now,
    periodEnd: now,
  });
}

/** Changes a subscription: plans the change and applies it. */
export function updateSubscription(
  world: World,
  id: string,
  change: Change,
  others: Partial<Subscription>,
  payment: PaymentBehavior,
): Subscription {
  const before = current(world, id);
  const ends = change.trialEnd === "now" || (change.trialEnd !== undefined && change.trialEnd <= world.now());
  const behavior = before.trial_settings?.end_behavior.missing_payment_method ?? "create_invoice";
  if (ends && before.status === "trialing" && behavior !== "create_invoice" && !paymentMethodOf(world, before)) {
    const { trialEnd: _, ...rest } = change;
    const plan = planChange(world, before, rest);
    const changed = changeSubscription(world, id, { ...others, ...plan.changes, trial_end: world.now() });
    endTrial(world, changed);
    return current(world, id);
  }
  return applyPlan(world, id, planChange(world, before, change), others, payment);
}

/** Ends a subscription now: what was paid for and not used is given back, or not. */
export function cancelSubscription(
  world: World,
  id: string,
  rules: { prorate: boolean; invoiceNow: boolean },
  details: Parameters<typeof endSubscription>[2],
): Subscription {
  const subscription = current(world, id);
  const credits = rules.prorate ? creditsAtEnd(world, subscription) : { lines: [], credited: {} };
  markCredited(world, id, credits.credited);
  if (!rules.invoiceNow) {
    if (rules.prorate) addWaiting(world, subscription, credits.lines);
    else dropWaiting(world, id);
    return endSubscription(world, id, details);
  }
  const waiting = takeWaiting(world, id);
  const lines = [...waiting, ...credits.lines];
  if (lines.length === 0) return endSubscription(world, id, details);
  const ended = endSubscription(world, id, details);
  const invoice = draftFor(world, ended, lines);
  settleWaiting(world, waiting, invoice.id);
  const after = world.subscriptions.patch(id, { latest_invoice: invoice.id });
  if (finalizeInvoice(world, invoice.id).status === "open") attemptPayment(world, invoice.id, { scheduled: true });
  return after;
}

/** What is given back when a subscription ends now. */
export function creditsAtEnd(world: World, subscription: Subscription): Credit {
  const all = subscription.items.data.map((item) => creditFrom(world, subscription, item, world.now()));
  return {
    lines: all.flatMap(({ lines }) => lines),
    credited: Object.assign({}, ...all.map(({ credited }) => credited)),
  };
}

/** Applies a planned change. `others`: what changes besides and costs nothing. */
export function applyPlan(
  world: World,
  id: string,
  plan: Plan,
  others: Partial<Subscription>,
  payment: PaymentBehavior,
): Subscription {
  discardPending(world, id);
  const before = current(world, id);
  const changes = { ...others, ...plan.changes };
  if (!plan.invoicesNow) {
    addWaiting(world, before, plan.lines);
    markCredited(world, id, plan.credited);
    return changeSubscription(world, id, changes);
  }
  if (payment === "pending_if_incomplete") return applyOncePaid(world, before, plan, changes);
  const waiting = takeWaiting(world, id);
  const after = { ...before, ...changes };
  const invoice = draftFor(world, after, [...waiting, ...plan.lines]);
  settleWaiting(world, waiting, invoice.id);
  markCredited(world, id, plan.credited);
  changeSubscription(world, id, { ...changes, latest_invoice: invoice.id });
  if (before.pause_collection) {
    closeUncollected(world, before, invoice.id);
    return current(world, id);
  }
  const open = finalizeInvoice(world, invoice.id);
  if (open.status !== "open") return current(world, id);
  if (open.collection_method === "send_invoice") {
    world.events.emit("invoice.sent", open);
    return current(world, id);
  }
  if (payment === "default_incomplete") return changeSubscription(world, id, { status: "past_due" });
  const outcome = attemptPayment(world, invoice.id, { scheduled: true });
  const taken = outcome.kind === "succeeded" || outcome.kind === "processing";
  if (payment === "error_if_incomplete" && !taken) throw incomplete(outcome);
  if (outcome.kind === "requires_action" && current(world, id).status === "active") {
    return changeSubscription(world, id, { status: "past_due" });
  }
  return current(world, id);
}

/** Charges first: the change waits in `pending_update` until its invoice is paid, at most 23 hours. */
function applyOncePaid(world: World, before: Subscription, plan: Plan, changes: Partial<Subscription>): Subscription {
  const { id } = before;
  const invoice = draftFor(world, before, plan.lines);
  setSequel(world, id, { kind: "update", invoice: invoice.id, changes, credited: plan.credited });
  world.subscriptions.patch(id, { latest_invoice: invoice.id });
  const open = finalizeInvoice(world, invoice.id);
  if (open.status === "open") attemptPayment(world, invoice.id);
  if (getInvoice(world, invoice.id).status !== "open") return current(world, id);
  const now = world.now();
  const expires = Math.min(
    now + PENDING_LIFE_SECONDS,
    before.trial_end !== null && before.trial_end > now ? before.trial_end : Number.POSITIVE_INFINITY,
    firstPeriodEnd(before),
  );
  world.scheduler.plan("subscription.update_expire", id, expires, before.test_clock);
  const anchor = plan.changes.billing_cycle_anchor;
  return changeSubscription(world, id, {
    pending_update: {
      billing_cycle_anchor: anchor === before.billing_cycle_anchor ? null : anchor,
      cancel_at_period_end: null,
      discount: null,
      discounts: null,
      expires_at: expires,
      metadata: changes.metadata ?? null,
      subscription_items: plan.changes.items.data,
      trial_end: plan.changes.trial_end ?? null,
      trial_from_plan: null,
    },
  });
}

/** Gives a pending update up: its invoice is void, and with it the update is gone. */
export function discardPending(world: World, id: string): void {
  const sequel = sequelOf(world, id);
  if (sequel?.kind === "update") voidInvoice(world, sequel.invoice);
}

/** Nobody has paid for a pending update in time. */
export function expirePendingUpdate(world: World, id: string): void {
  if (!world.subscriptions.get(id)?.pending_update) return;
  discardPending(world, id);
  world.events.emit("customer.subscription.pending_update_expired", current(world, id));
}
