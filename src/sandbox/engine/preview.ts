// The invoice that a subscription would get next, or that a change would make. Nothing is kept.
import { invalidRequest } from "../errors";
import { newId } from "../ids";
import type { Invoice, InvoiceLine, Subscription, SubscriptionSchedule } from "../types";
import type { World } from "../world";
import { draftInvoice } from "./invoice-draft";
import { atPhaseStart, phaseAfter } from "./schedule";
import { newItemsOf } from "./schedule-phases";
import { type NewSubscription, sketchSubscription } from "./subscription";
import { creditsAtEnd } from "./subscription-apply";
import { waitingLines } from "./subscription-ledger";
import { planResume, type ResumeRules } from "./subscription-pause";
import { planRenewal } from "./subscription-renewal";
import { firstPeriodEnd, lastPeriodEnd } from "./subscription-state";
import { type Change, planChange } from "./subscription-update";

interface Moment {
  created: number;
  start: number;
  end: number;
}

/** Stripe shows at most ten lines inside an invoice; a preview cannot be paged, so it shows all. */
function preview(world: World, subscription: Subscription, given: InvoiceLine[], at: Moment, isNew = false): Invoice {
  const wanted = {
    customer: subscription.customer,
    currency: subscription.currency,
    billingReason: "upcoming" as const,
    subscription,
    lines: given,
    periodStart: at.start,
    periodEnd: at.end,
  };
  // Discounts may have ended by then.
  const { invoice, lines } = world.clock.at(at.created, () => draftInvoice(world, wanted, newId("upcoming_in")));
  const data = lines.map((line) => ({ ...line, invoice: invoice.id }));
  const shown = {
    ...invoice,
    created: at.created,
    next_payment_attempt: at.created + world.options.draftSeconds,
    lines: { ...invoice.lines, data },
  };
  // A subscription that does not exist yet has no id that anyone could follow.
  return isNew ? { ...shown, parent: null, lines: { ...shown.lines, data: data.map(withoutSubscription) } } : shown;
}

function withoutSubscription(line: InvoiceLine): InvoiceLine {
  const details = line.parent?.subscription_item_details;
  if (!line.parent || !details) return line;
  const parent = { ...line.parent, subscription_item_details: { ...details, subscription: null } };
  return { ...line, subscription: null, parent };
}

export function nothingToCome(): Error {
  return invalidRequest("No upcoming invoices for customer", undefined, "invoice_upcoming_none");
}

export interface PreviewRules {
  change: Change | null;
  /** The agreed end, as it would be. */
  atPeriodEnd?: boolean;
  cancelNow?: boolean;
  resume?: ResumeRules;
}

/** What is charged next, after a change if one is given. */
export function previewInvoice(world: World, subscription: Subscription, rules: PreviewRules): Invoice {
  const now = world.now();
  const waiting = waitingLines(world, subscription.id);
  const atOnce = (after: Subscription, lines: InvoiceLine[]) =>
    preview(world, after, [...waiting, ...lines], { created: now, start: now, end: now });
  if (rules.cancelNow) {
    const prorates = rules.change?.proration !== "none";
    const lines = prorates ? creditsAtEnd(world, subscription).lines : [];
    if (waiting.length + lines.length === 0) throw nothingToCome();
    return atOnce(subscription, lines);
  }
  if (rules.resume) {
    if (subscription.status !== "paused") throw invalidRequest("Only paused subscriptions can be resumed.");
    const { changes, lines, invoicesNow } = planResume(world, subscription, rules.resume);
    if (invoicesNow) return atOnce({ ...subscription, ...changes }, lines);
    return previewNext(world, { ...subscription, ...changes, status: "active" }, [...waiting, ...lines]);
  }
  const plan = rules.change && planChange(world, subscription, rules.change);
  const changed: Subscription = { ...subscription, ...plan?.changes };
  if (plan?.invoicesNow) return atOnce(changed, plan.lines);
  const cancelAt = rules.change?.cancelAt;
  const after: Subscription = {
    ...changed,
    ...(cancelAt !== undefined && { cancel_at: cancelAt }),
    ...(rules.atPeriodEnd !== undefined && { cancel_at: rules.atPeriodEnd ? lastPeriodEnd(changed) : null }),
  };
  return previewNext(world, after, [...waiting, ...(plan?.lines ?? [])]);
}

/** The next renewal, or the last invoice of a subscription that ends before it. */
function previewNext(world: World, subscription: Subscription, waiting: InvoiceLine[]): Invoice {
  const due = firstPeriodEnd(subscription);
  const { cancel_at: end } = subscription;
  const ends = end !== null && end <= due;
  const moving = ["trialing", "active", "past_due", "unpaid"].includes(subscription.status);
  if (!moving || (ends && waiting.length === 0)) throw nothingToCome();
  if (ends) return preview(world, subscription, waiting, { created: end, start: end, end });
  const phase = phaseAfter(world, subscription, due);
  const renewing = phase ? atPhaseStart(world, subscription, phase, due) : subscription;
  const { lines, over } = planRenewal(world, renewing, due);
  return preview(world, renewing, [...waiting, ...lines], { created: due, ...over });
}

/** The first invoice of a subscription that does not exist yet. */
export function previewSubscription(world: World, given: NewSubscription): Invoice {
  const now = world.now();
  const { subscription, lines } = sketchSubscription(world, given);
  if (lines.length === 0) {
    const { lines: renewal, over } = planRenewal(world, subscription, firstPeriodEnd(subscription));
    return preview(world, subscription, renewal, { created: over.end, ...over }, true);
  }
  return preview(world, subscription, lines, { created: now, start: now, end: now }, true);
}

/** The next invoice of a schedule: its subscription's, or the first one of a subscription that it will begin. */
export function previewSchedule(world: World, schedule: SubscriptionSchedule): Invoice {
  const subscription = schedule.subscription ? world.subscriptions.get(schedule.subscription) : undefined;
  if (subscription) return previewInvoice(world, subscription, { change: null });
  const phase = schedule.phases[0];
  const customer = world.customers.get(schedule.customer);
  if (!phase || !customer || schedule.status !== "not_started") throw nothingToCome();
  return world.clock.at(phase.start_date, () =>
    previewSubscription(world, {
      customer,
      items: newItemsOf(world, phase),
      currency: phase.currency,
      metadata: phase.metadata ?? {},
      trialEnd: phase.trial_end,
      firstPayment: "later",
    }),
  );
}
