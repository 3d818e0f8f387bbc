// Two pauses: of collection, in which invoices go on being made, and of the subscription itself, in which nothing does.
import { invalidRequest } from "../errors";
import type { InvoiceLine, Subscription, SubscriptionItem } from "../types";
import type { World } from "../world";
import { createInvoice } from "./invoice-draft";
import { attemptPayment, finalizeInvoice, getInvoice, markUncollectible, voidInvoice } from "./invoicing";
import { cycleAround, periodEnd } from "./period";
import {
  addWaiting,
  chargedUntil,
  chargeFor,
  creditFrom,
  markCredited,
  secretOf,
  sequelOf,
  setSequel,
  settleWaiting,
  takeWaiting,
} from "./subscription-ledger";
import { changeSubscription, planAdvance, resumeWith } from "./subscription-state";

const RESUME_LIFE_SECONDS = 23 * 60 * 60;

type PauseCollection = NonNullable<Subscription["pause_collection"]>;

/** Plans the end of a pause of collection, or forgets it. */
export function planCollection(world: World, subscription: Subscription): void {
  const at = subscription.pause_collection?.resumes_at ?? null;
  world.scheduler.plan("subscription.collect_again", subscription.id, at, subscription.test_clock);
}

/** Collection goes on by itself. Invoices of the pause stay as they are. */
export function collectAgain(world: World, id: string): void {
  if (world.subscriptions.get(id)?.pause_collection) changeSubscription(world, id, { pause_collection: null });
}

/** While collection is paused a new invoice is given up at once, or stays a draft. */
export function closeUncollected(world: World, subscription: Subscription, invoice: string): void {
  const behavior: PauseCollection["behavior"] | undefined = subscription.pause_collection?.behavior;
  if (behavior !== "void" && behavior !== "mark_uncollectible") return;
  if (finalizeInvoice(world, invoice).status !== "open") return;
  if (behavior === "void") voidInvoice(world, invoice);
  else markUncollectible(world, invoice);
}

/** An invoice outside the rhythm of periods, with the prorations that waited; finalized. */
function invoiceNow(world: World, subscription: Subscription, lines: InvoiceLine[]) {
  const now = world.now();
  const waiting = takeWaiting(world, subscription.id);
  const invoice = createInvoice(world, {
    customer: subscription.customer,
    currency: subscription.currency,
    billingReason: "subscription_update",
    subscription,
    lines: [...waiting, ...lines],
    periodStart: now,
    periodEnd: now,
  });
  settleWaiting(world, waiting, invoice.id);
  return invoice;
}

export interface PauseRules {
  /** From when licensed time is given back. */
  unusedFrom: "now" | "none" | "item_current_period_start";
  invoicing: "invoice" | "pending_invoice_item";
}

/** Pauses a subscription: no invoices, no new periods, until it is resumed. */
export function pauseSubscription(world: World, subscription: Subscription, rules: PauseRules): Subscription {
  const { id } = subscription;
  if (subscription.schedule) {
    throw invalidRequest(
      `The subscription is managed by the subscription schedule \`${subscription.schedule}\`, and pausing it directly is not allowed. Please update the schedule instead.`,
    );
  }
  if (subscription.status !== "active") {
    throw invalidRequest(`You can only pause active subscriptions. This subscription is ${subscription.status}.`);
  }
  if (subscription.collection_method !== "charge_automatically") {
    throw invalidRequest("You can only pause subscriptions whose `collection_method` is `charge_automatically`.");
  }
  const now = world.now();
  const credits = subscription.items.data.map((item) => {
    if (rules.unusedFrom === "none") return { lines: [], credited: {} };
    return creditFrom(world, subscription, item, rules.unusedFrom === "now" ? now : item.current_period_start);
  });
  const lines = credits.flatMap((credit) => credit.lines);
  for (const { credited } of credits) markCredited(world, id, credited);
  const before = world.events.snapshot(subscription);
  const invoices = rules.invoicing === "invoice" && lines.length > 0;
  if (!invoices) addWaiting(world, subscription, lines);
  const invoice = invoices ? invoiceNow(world, subscription, lines) : null;
  const paused = world.subscriptions.patch(id, {
    status: "paused",
    status_details: {
      paused: { subscription: { type: "pause_requested" }, transitioned_at: now, type: "subscription" },
    },
    ...(invoice && { latest_invoice: invoice.id }),
  });
  world.events.emit("customer.subscription.updated", paused, before);
  world.events.emit("customer.subscription.paused", paused);
  planAdvance(world, paused);
  if (invoice && finalizeInvoice(world, invoice.id).status === "open") attemptPayment(world, invoice.id);
  return world.subscriptions.get(id) ?? paused;
}

export interface ResumeRules {
  anchor: "now" | "unchanged";
  proration: "always_invoice" | "create_prorations" | "none";
  /** The instant from which time is charged again, when the anchor stays. */
  at: number;
  payment: "resume_on_payment_attempt" | "resume_on_payment_success";
}

export interface ResumePlan {
  changes: Pick<Subscription, "items" | "billing_cycle_anchor">;
  lines: InvoiceLine[];
  invoicesNow: boolean;
}

/** What a resumption charges: a new period, or what is left of the one around now. Writes nothing. */
export function planResume(world: World, subscription: Subscription, rules: ResumeRules): ResumePlan {
  const now = world.now();
  const afresh = rules.anchor === "now";
  const shape = afresh ? { ...subscription, billing_cycle_anchor: now } : subscription;
  const lines: InvoiceLine[] = [];
  const data = subscription.items.data.map((item): SubscriptionItem => {
    const { recurring } = item.price;
    const period = afresh
      ? { start: now, end: periodEnd(now, recurring, now) }
      : cycleAround(shape.billing_cycle_anchor, recurring, now);
    const next = { ...item, current_period_start: period.start, current_period_end: period.end };
    const start = Math.max(rules.at, chargedUntil(world, subscription, item) ?? 0);
    if (afresh) lines.push(chargeFor(world, shape, next, period));
    else if (rules.proration !== "none" && start < period.end) {
      lines.push(chargeFor(world, shape, next, { start, end: period.end }));
    }
    return next;
  });
  const changes = { items: { ...subscription.items, data }, billing_cycle_anchor: shape.billing_cycle_anchor };
  return { changes, lines, invoicesNow: lines.length > 0 && (afresh || rules.proration === "always_invoice") };
}

/** Resumes a paused subscription: at once when nothing is to be paid, otherwise with its invoice. */
export function resumeSubscription(world: World, subscription: Subscription, rules: ResumeRules): Subscription {
  const { id } = subscription;
  if (subscription.status !== "paused") throw invalidRequest("Only paused subscriptions can be resumed.");
  const earlier = sequelOf(world, id);
  if (earlier?.kind === "resume") voidInvoice(world, earlier.invoice);
  const { changes, lines, invoicesNow } = planResume(world, subscription, rules);
  if (!invoicesNow) {
    addWaiting(world, subscription, lines);
    return resumeWith(world, id, changes);
  }
  const invoice = invoiceNow(world, { ...subscription, ...changes }, lines);
  const onAttempt = rules.payment === "resume_on_payment_attempt";
  setSequel(world, id, { kind: "resume", invoice: invoice.id, changes, credited: {}, onAttempt });
  changeSubscription(world, id, { latest_invoice: invoice.id });
  const open = finalizeInvoice(world, invoice.id);
  if (open.status !== "open") return world.subscriptions.get(id) ?? subscription;
  const expires = world.now() + RESUME_LIFE_SECONDS;
  world.scheduler.plan("subscription.resume_expire", id, expires, subscription.test_clock);
  if (!onAttempt) attemptPayment(world, invoice.id, { scheduled: true });
  return world.subscriptions.get(id) ?? subscription;
}

/** Nobody has tried to pay for a resumption: its invoice is void, the subscription stays paused. */
export function expireResume(world: World, id: string): void {
  const sequel = secretOf(world, id).onPayment;
  if (sequel?.kind !== "resume") return;
  if (getInvoice(world, sequel.invoice).attempt_count === 0) voidInvoice(world, sequel.invoice);
}
