// What each item of a subscription was charged, what of it was given back, and the prorations that wait for an invoice.
import { newId } from "../ids";
import { unitAmountOf } from "../money";
import type { InvoiceItem, InvoiceLine, Price, Subscription, SubscriptionItem } from "../types";
import type { PaymentSequel, SubscriptionSecret, World } from "../world";
import { discounted } from "./discounts";
import { periodLine, prorationLine } from "./lines";
import { cycleAround, type Period } from "./period";

export function secretOf(world: World, id: string): SubscriptionSecret {
  return world.subscriptionSecrets.get(id) ?? { id, pendingLines: [] };
}

/** The change that waits for a payment, if there is one. */
export function sequelOf(world: World, id: string): PaymentSequel | null {
  return secretOf(world, id).onPayment ?? null;
}

export function setSequel(world: World, id: string, onPayment: PaymentSequel | null): void {
  world.subscriptionSecrets.put({ ...secretOf(world, id), onPayment });
}

function itemIdOf(line: InvoiceLine): string | null {
  return line.parent?.subscription_item_details?.invoice_item ?? null;
}

/** Prorations that wait for the next invoice. Deleted as invoice items, or put on an invoice by hand, they do not. */
export function waitingLines(world: World, id: string): InvoiceLine[] {
  return secretOf(world, id).pendingLines.filter((line) => {
    const item = world.invoiceItems.get(itemIdOf(line) ?? "");
    return item !== undefined && item.invoice === null;
  });
}

/** What a waiting proration looks like among the customer's invoice items. */
function invoiceItemOf(world: World, subscription: Subscription, line: InvoiceLine): InvoiceItem {
  const details = line.parent?.subscription_item_details;
  const credited = details?.proration_details?.credited_items;
  const now = world.now();
  return {
    id: details?.invoice_item ?? newId("ii"),
    object: "invoiceitem",
    amount: line.amount,
    currency: line.currency,
    customer: subscription.customer,
    customer_account: null,
    date: now,
    description: line.description,
    discountable: false,
    discounts: [],
    invoice: null,
    livemode: false,
    metadata: line.metadata,
    parent: {
      type: "subscription_details",
      subscription_details: { subscription: subscription.id, subscription_item: details?.subscription_item ?? "" },
    },
    period: line.period,
    pricing: line.pricing?.price_details
      ? {
          type: "price_details",
          price_details: line.pricing.price_details,
          unit_amount_decimal: line.pricing.unit_amount_decimal,
        }
      : null,
    proration: true,
    proration_details: {
      credited_items: credited ? { type: "invoice_line_items", invoice_line_item_details: credited } : null,
      discount_amounts: [],
    },
    quantity: line.quantity ?? 1,
    quantity_decimal: String(line.quantity ?? 1),
    tax_rates: [],
    test_clock: subscription.test_clock,
  } satisfies InvoiceItem;
}

/** Keeps prorations for the next invoice: they are invoice items until then. */
export function addWaiting(world: World, subscription: Subscription, lines: InvoiceLine[]): void {
  if (lines.length === 0) return;
  const secret = secretOf(world, subscription.id);
  for (const line of lines) {
    const item = world.invoiceItems.put(invoiceItemOf(world, subscription, line));
    world.events.emit("invoiceitem.created", item);
  }
  world.subscriptionSecrets.put({ ...secret, pendingLines: [...secret.pendingLines, ...lines] });
}

/** Takes the waiting prorations off the list, to be put on an invoice; `settleWaiting` names it. */
export function takeWaiting(world: World, id: string): InvoiceLine[] {
  const lines = waitingLines(world, id);
  world.subscriptionSecrets.put({ ...secretOf(world, id), pendingLines: [] });
  return lines;
}

/** The invoice items behind lines are on an invoice now. */
export function settleWaiting(world: World, lines: InvoiceLine[], invoice: string): void {
  for (const line of lines) {
    const item = world.invoiceItems.get(itemIdOf(line) ?? "");
    if (item) world.invoiceItems.patch(item.id, { invoice });
  }
}

/** Prorations that nobody will be charged or given: the subscription has ended without a last invoice. */
export function dropWaiting(world: World, id: string): void {
  for (const line of takeWaiting(world, id)) {
    const item = world.invoiceItems.get(itemIdOf(line) ?? "");
    if (!item) continue;
    world.invoiceItems.remove(item.id);
    world.events.emit("invoiceitem.deleted", item);
  }
}

export function markCredited(world: World, id: string, credited: Record<string, number>): void {
  if (Object.keys(credited).length === 0) return;
  const secret = secretOf(world, id);
  world.subscriptionSecrets.put({ ...secret, credited: { ...secret.credited, ...credited } });
}

/** Forgets what was given back of periods that are over at an instant. */
export function forgetCredits(world: World, id: string, at: number): void {
  const secret = secretOf(world, id);
  const kept = Object.entries(secret.credited ?? {}).filter(
    ([line]) => (world.lines.get(line)?.period.end ?? at + 1) > at,
  );
  world.subscriptionSecrets.put({ ...secret, credited: Object.fromEntries(kept) });
}

/** Until when the time of an item is charged and not given back; null when nothing is. */
export function chargedUntil(world: World, subscription: Subscription, item: SubscriptionItem): number | null {
  const credited = secretOf(world, subscription.id).credited ?? {};
  const ends = chargesOf(world, subscription, item.id).map((line) => credited[line.id] ?? line.period.end);
  return ends.length > 0 ? Math.max(...ends) : null;
}

/** What an item was charged, on invoices that stand and on those to come. */
function chargesOf(world: World, subscription: Subscription, itemId: string): InvoiceLine[] {
  const pending = sequelOf(world, subscription.id)?.invoice;
  const invoiced = world.lines.by("subscription_item", itemId).filter(({ invoice }) => {
    const status = invoice && world.invoices.get(invoice)?.status;
    return status && status !== "void" && invoice !== pending;
  });
  const waiting = waitingLines(world, subscription.id).filter(
    (line) => line.parent?.subscription_item_details?.subscription_item === itemId,
  );
  return [...invoiced, ...waiting].filter(({ amount }) => amount > 0);
}

export interface Credit {
  lines: InvoiceLine[];
  /** Of each charged line the instant from which its time is given back. */
  credited: Record<string, number>;
}

/**
 * Gives back an item's time from an instant on: for each charge that reaches beyond it the same share of what was really
 * charged, whatever the item costs by now. What was given back before is not given back again.
 */
export function creditFrom(world: World, subscription: Subscription, item: SubscriptionItem, at: number): Credit {
  const before = secretOf(world, subscription.id).credited ?? {};
  const lines: InvoiceLine[] = [];
  const credited: Record<string, number> = {};
  for (const charge of chargesOf(world, subscription, item.id)) {
    const end = before[charge.id] ?? charge.period.end;
    const start = Math.max(at, charge.period.start);
    const length = charge.period.end - charge.period.start;
    if (end <= start || length <= 0) continue;
    const discounts = (charge.discount_amounts ?? []).reduce((sum, { amount }) => sum + amount, 0);
    const amount = Math.round(((charge.amount - discounts) * (end - start)) / length);
    credited[charge.id] = start;
    if (amount === 0) continue;
    const price = world.prices.get(charge.pricing?.price_details?.price ?? "") ?? item.price;
    lines.push(
      prorationLine(world, subscription, item, {
        kind: "credit",
        amount,
        period: { start, end },
        price,
        quantity: charge.quantity ?? 1,
        credits: charge,
      }),
    );
  }
  return { lines, credited };
}

/** The line that charges an item for a period: the whole price for a whole one, a proration for a part of it. */
export function chargeFor(world: World, subscription: Subscription, item: SubscriptionItem, period: Period) {
  const cycle = cycleAround(subscription.billing_cycle_anchor, item.price.recurring, period.start);
  if (period.start === cycle.start && period.end === cycle.end) return periodLine(world, subscription, item, period);
  return debitFor(world, subscription, item, period);
}

/** The line that charges an item for a part of its period, by the second. */
export function debitFor(world: World, subscription: Subscription, item: SubscriptionItem, period: Period) {
  const price: Price = world.prices.get(item.price.id) ?? item.price;
  const quantity = item.quantity ?? 1;
  const cycle = cycleAround(subscription.billing_cycle_anchor, item.price.recurring, period.start);
  const share = (period.end - period.start) / (cycle.end - cycle.start);
  // Prorations hold their discounts already: `proration_discounts` is `included`.
  const whole = Number(unitAmountOf(price, subscription.currency)) * quantity;
  const amount = Math.round(discounted(world, subscription, item, whole) * share);
  return prorationLine(world, subscription, item, { kind: "debit", amount, period, price, quantity });
}
