// How a subscription begins, with its first invoice. How it goes on is in subscription-renewal.ts, changes in -update.ts.
import { invalidRequest } from "../errors";
import { newId } from "../ids";
import type { Customer, InvoiceLine, Metadata, Subscription, TaxRate } from "../types";
import type { World } from "../world";
import { beginDiscounts, type Redeemable } from "./discounts";
import { createInvoice } from "./invoice-draft";
import { attemptPayment, finalizeInvoice, getInvoice, type PayOutcome, settle, voidInvoice } from "./invoicing";
import { trialLine } from "./lines";
import type { Outcome } from "./payment";
import { periodEnd } from "./period";
import { type NewItem, newItem } from "./subscription-item";
import { chargeFor } from "./subscription-ledger";
import { current } from "./subscription-renewal";
import { endSubscription, isLive, planAdvance } from "./subscription-state";
import type { Proration } from "./subscription-update";

const DAY = 86_400;
const INCOMPLETE_LIFE_SECONDS = 23 * 60 * 60;

export interface NewSubscription {
  customer: Customer;
  items: NewItem[];
  currency: string;
  defaultPaymentMethod?: string | null;
  description?: string | null;
  metadata?: Metadata;
  trialEnd?: number | null;
  billingCycleAnchor?: number | null;
  cancelAt?: number | null;
  cancelAtPeriodEnd?: boolean;
  /** `none`: the time up to an anchor or an end inside the first period is not charged. */
  proration?: Proration;
  missingPaymentMethod?: "cancel" | "create_invoice" | "pause";
  saveDefaultPaymentMethod?: "off" | "on_subscription";
  pendingSetupIntent?: string | null;
  /** Things bought once, on the first invoice. */
  oneOff?: InvoiceLine[];
  discounts?: Redeemable[];
  /** Ids of discounts that have begun already, for a preview. */
  startedDiscounts?: string[];
  automaticTax?: boolean;
  defaultTaxRates?: TaxRate[];
  /** Pending invoice items wait on: what is due was agreed upon without them. */
  leavesItems?: boolean;
  /** Invoices are sent, to be paid within so many days. */
  daysUntilDue?: number | null;
  /** The schedule that begins it. */
  schedule?: string;
  /** `later`: the first invoice stays open until someone pays it; `draft`: it is collected as a renewal's is. */
  firstPayment: "now" | "later" | "draft" | { intent: string; outcome: Outcome };
}

function build(world: World, given: NewSubscription): Subscription {
  const id = newId("sub");
  const now = world.now();
  const trialEnd = given.trialEnd && given.trialEnd > now ? given.trialEnd : null;
  const anchor = given.billingCycleAnchor ?? trialEnd ?? now;
  const items = given.items.map((item) => {
    const end = trialEnd ?? periodEnd(anchor, item.price.recurring, now);
    const shortened = !trialEnd && given.proration !== "none" && given.cancelAt && given.cancelAt < end;
    return newItem(id, item, now, { start: now, end: shortened ? (given.cancelAt as number) : end });
  });
  const cancelAt =
    given.cancelAt ?? (given.cancelAtPeriodEnd ? Math.max(...items.map((item) => item.current_period_end)) : null);
  return {
    id,
    object: "subscription",
    application: null,
    application_fee_percent: null,
    automatic_tax: {
      disabled_reason: null,
      enabled: given.automaticTax ?? false,
      liability: given.automaticTax ? { type: "self" } : null,
    },
    billing_cycle_anchor: anchor,
    billing_cycle_anchor_config: null,
    billing_mode: { flexible: { proration_discounts: "included" }, type: "flexible" },
    billing_schedules: [],
    billing_thresholds: null,
    cancel_at: cancelAt,
    cancel_at_period_end: given.cancelAtPeriodEnd ?? false,
    canceled_at: cancelAt ? now : null,
    cancellation_details: {
      comment: null,
      feedback: null,
      feedback_option: null,
      reason: cancelAt ? "cancellation_requested" : null,
    },
    collection_method: given.daysUntilDue == null ? "charge_automatically" : "send_invoice",
    created: now,
    currency: given.currency,
    customer: given.customer.id,
    customer_account: null,
    days_until_due: given.daysUntilDue ?? null,
    default_payment_method: given.defaultPaymentMethod ?? null,
    default_source: null,
    default_tax_rates: given.defaultTaxRates ?? [],
    description: given.description ?? null,
    discounts: given.startedDiscounts ?? [],
    ended_at: null,
    invoice_settings: {
      account_tax_ids: null,
      custom_fields: null,
      description: null,
      footer: null,
      issuer: { type: "self" },
    },
    items: { object: "list", data: items, has_more: false, url: `/v1/subscription_items?subscription=${id}` },
    latest_invoice: null,
    livemode: false,
    managed_payments: { enabled: false },
    metadata: given.metadata ?? {},
    next_pending_invoice_item_invoice: null,
    on_behalf_of: null,
    pause_collection: null,
    payment_settings: {
      payment_method_options: null,
      payment_method_types: null,
      save_default_payment_method: given.saveDefaultPaymentMethod ?? "off",
    },
    pending_invoice_item_interval: null,
    pending_setup_intent: given.pendingSetupIntent ?? null,
    pending_update: null,
    schedule: given.schedule ?? null,
    start_date: now,
    status: trialEnd ? "trialing" : "incomplete",
    test_clock: given.customer.test_clock ?? null,
    transfer_data: null,
    trial_end: trialEnd,
    trial_settings: {
      end_behavior: {
        billing_cycle_anchor: null,
        missing_payment_method: given.missingPaymentMethod ?? "create_invoice",
      },
    },
    trial_start: trialEnd ? now : null,
  } satisfies Subscription;
}

function planTrialWarning(world: World, subscription: Subscription): void {
  if (!subscription.trial_end || subscription.status !== "trialing") return;
  // Three days before; at once when the trial is shorter.
  const at = Math.max(world.now(), subscription.trial_end - 3 * DAY);
  world.scheduler.plan("subscription.trial_will_end", subscription.id, at, subscription.test_clock);
}

/** All subscriptions of a customer that live at the same time are in one currency. */
export function checkCurrency(world: World, customer: string, currency: string): void {
  const other = world.subscriptions.by("customer", customer).find((each) => isLive(each) && each.currency !== currency);
  if (!other) return;
  throw invalidRequest(
    `You cannot combine currencies on a single customer. This customer has an active subscription, subscription schedule, discount, quote, or invoice item with currency ${other.currency}`,
  );
}

function claimCurrency(world: World, customer: Customer, currency: string): void {
  checkCurrency(world, customer.id, currency);
  if (customer.currency !== currency) world.change(world.customers, customer.id, { currency }, "customer.updated");
}

/** All lines of a first invoice. */
function openingLines(world: World, subscription: Subscription, given: NewSubscription): InvoiceLine[] {
  return [...firstLines(world, subscription, given.proration), ...(given.oneOff ?? [])];
}

/** The lines of a first invoice: a trial costs nothing, a period that is cut short its share. */
function firstLines(world: World, subscription: Subscription, proration: Proration | undefined): InvoiceLine[] {
  return subscription.items.data.flatMap((item) => {
    if (subscription.trial_end) return trialLine(world, subscription, item);
    const period = { start: item.current_period_start, end: item.current_period_end };
    const line = chargeFor(world, subscription, item, period);
    const isPart = line.parent?.subscription_item_details?.proration ?? false;
    return isPart && proration === "none" ? [] : line;
  });
}

/** What the first invoice of a subscription that does not exist yet would hold. Writes nothing. */
export function sketchSubscription(
  world: World,
  given: NewSubscription,
): { subscription: Subscription; lines: InvoiceLine[] } {
  const subscription = build(world, given);
  return { subscription, lines: openingLines(world, subscription, given) };
}

/** Begins a subscription with its first invoice; says what became of the first payment. */
export function createSubscription(
  world: World,
  given: NewSubscription,
): { subscription: Subscription; outcome: PayOutcome | null } {
  claimCurrency(world, given.customer, given.currency);
  const draft = beginDiscounts(world, world.subscriptions.put(build(world, given)), given.discounts ?? []);
  const lines = openingLines(world, draft, given);
  const now = world.now();
  if (lines.length === 0) {
    // Nothing is charged before the anchor, so there is no invoice either.
    const begun = world.subscriptions.patch(draft.id, { status: "active" });
    world.events.emit("customer.subscription.created", begun);
    planAdvance(world, begun);
    return { subscription: begun, outcome: null };
  }
  const drafts = given.firstPayment === "draft" || draft.collection_method === "send_invoice";
  const waits = drafts && !draft.trial_end;
  const invoice = createInvoice(
    world,
    {
      customer: draft.customer,
      currency: draft.currency,
      billingReason: "subscription_create",
      takesItems: !given.leavesItems,
      subscription: draft,
      lines,
      periodStart: now,
      periodEnd: now,
    },
    waits ? now + world.options.draftSeconds : null,
  );
  world.subscriptions.patch(draft.id, { latest_invoice: invoice.id });
  if (waits) {
    const begun = world.subscriptions.patch(draft.id, { status: "active" });
    world.events.emit("customer.subscription.created", begun);
    planAdvance(world, begun);
    return { subscription: begun, outcome: null };
  }
  const paidBy = typeof given.firstPayment === "object" ? given.firstPayment.intent : null;
  // Nothing due settles the invoice at once and with it the status, so the event tells of the result.
  const free = invoice.amount_due === 0 && draft.status === "incomplete";
  if (free) world.subscriptions.patch(draft.id, { status: "active" });
  const open = finalizeInvoice(world, invoice.id, paidBy);
  const subscription = current(world, draft.id);
  world.events.emit("customer.subscription.created", subscription);
  planAdvance(world, subscription);
  planTrialWarning(world, subscription);
  if (open.status !== "open") return { subscription, outcome: null };
  const expires = now + INCOMPLETE_LIFE_SECONDS;
  world.scheduler.plan("subscription.expire", draft.id, expires, draft.test_clock);
  let outcome: PayOutcome | null = null;
  if (typeof given.firstPayment === "object") {
    outcome = given.firstPayment.outcome;
    settle(world, invoice.id, given.firstPayment.outcome);
  } else if (given.firstPayment === "now") {
    outcome = attemptPayment(world, invoice.id);
  }
  return { subscription: current(world, draft.id), outcome };
}

/** A first payment that never came: the subscription ends without having begun. */
export function expireIncomplete(world: World, id: string): void {
  const subscription = world.subscriptions.get(id);
  if (subscription?.status !== "incomplete") return;
  endSubscription(world, id, { reason: "payment_failed" }, "incomplete_expired");
  const latest = subscription.latest_invoice && getInvoice(world, subscription.latest_invoice);
  if (latest && latest.status === "open") voidInvoice(world, latest.id);
}

/** Tells that a trial will end. */
export function warnOfTrialEnd(world: World, id: string): void {
  const subscription = world.subscriptions.get(id);
  if (subscription?.status === "trialing") world.events.emit("customer.subscription.trial_will_end", subscription);
}
