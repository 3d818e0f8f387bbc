// The invoice that a subscription would get next, or that a change would make. Nothing is kept.
import { invalidRequest } from "../errors";
import { newId } from "../ids";
import type { Invoice, InvoiceLine, Subscription } from "../types";
import type { World } from "../world";
import { draftInvoice } from "./invoicing";
import { periodLine } from "./lines";
import { periodEnd } from "./period";
import { firstPeriodEnd } from "./subscription-state";
import { type ItemChange, planUpdate, type UpdateRules } from "./subscription-update";

/** Stripe shows at most ten lines inside an invoice; a preview cannot be paged, so it shows all. */
function preview(
  world: World,
  subscription: Subscription,
  lines: InvoiceLine[],
  at: { created: number; start: number; end: number },
  reason: Invoice["billing_reason"],
): Invoice {
  const given = {
    customer: subscription.customer,
    currency: subscription.currency,
    billingReason: reason,
    subscription,
    lines,
    periodStart: at.start,
    periodEnd: at.end,
  };
  // Discounts may have ended by then.
  const { invoice: draft, lines: priced } = world.clock.at(at.created, () =>
    draftInvoice(world, given, newId("upcoming_in")),
  );
  const data = priced.map((line) => ({ ...line, invoice: draft.id }));
  return { ...draft, created: at.created, next_payment_attempt: at.created + 3600, lines: { ...draft.lines, data } };
}

/** What is charged next, after a change if one is given. */
export function previewInvoice(
  world: World,
  subscription: Subscription,
  changes: ItemChange[],
  rules: UpdateRules,
): Invoice {
  const plan = changes.length > 0 ? planUpdate(world, subscription, changes, rules) : null;
  const now = world.now();
  if (plan && plan.lines.length > 0 && (plan.restarts || rules.proration === "always_invoice")) {
    const waiting = world.subscriptionSecrets.get(subscription.id)?.pendingLines ?? [];
    return preview(
      world,
      subscription,
      [...waiting, ...plan.lines],
      { created: now, start: now, end: now },
      "subscription_update",
    );
  }
  const after: Subscription = plan
    ? { ...subscription, billing_cycle_anchor: plan.anchor, items: { ...subscription.items, data: plan.items } }
    : subscription;
  const due = firstPeriodEnd(after);
  const ends = subscription.cancel_at !== null && subscription.cancel_at <= due;
  const moving = ["trialing", "active", "past_due"].includes(subscription.status);
  const waiting = [...(world.subscriptionSecrets.get(subscription.id)?.pendingLines ?? []), ...(plan?.lines ?? [])];
  if (!moving || (ends && waiting.length === 0)) {
    throw invalidRequest("No upcoming invoices for customer", undefined, "invoice_upcoming_none");
  }
  const renewing = ends ? [] : after.items.data.filter((item) => item.current_period_end === due);
  const lines = renewing.map((item) =>
    periodLine(world, after, item, {
      start: due,
      end: periodEnd(after.billing_cycle_anchor, item.price.recurring, due),
    }),
  );
  const start = Math.min(...after.items.data.map((item) => item.current_period_start));
  return preview(world, after, [...waiting, ...lines], { created: due, start, end: due }, "upcoming");
}
